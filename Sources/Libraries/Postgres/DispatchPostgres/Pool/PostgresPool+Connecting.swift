import DispatchLoop
package import PostgresSession

// Connecting.
extension PostgresPool {
    func connect(_ id: ConnectionID) {
        guard let provider = hooks.password, configuration.problem == nil else {
            return connect(id, with: configuration)
        }
        askForPassword(id, provider)
    }

    func connect(_ id: ConnectionID, with configuration: ConnectionConfiguration) {
        let limits = ConnectLimits(
            reachDeadline: loop.now + settings.connectTimeout, loginTimeout: settings.loginTimeout)
        let attempt = ConnectAttempt(
            configuration, limits: limits, memory: memory, resolver: resolver, client: self
        ) { [weak self] result in
            guard let self, let attempt = attempts[id.index].take() else { return }
            switch result {
            case .success(let connection):
                connections[id.index] = connection
                if machine.loginProvesNothing { prove(id, connection) } else { setUp(id, connection) }
            case .failure(let error):
                let isHeld = attempt.openSocketCount > 0
                if isHeld { attempt.abandon { [weak self] in self?.apply { $0.closed(id, at: $1) } } }
                apply { $0.connectFailed(id, error, sockets: attempt.socketCount, keepsSlot: isHeld, at: $1) }
            }
        }
        attempts[id.index] = attempt
        attempt.start()
    }

    /// Runs an empty query, because a pooler admits clients while its server is down. For the machine it is part of the
    /// connect.
    private func prove(_ id: ConnectionID, _ connection: PostgresConnection) {
        connection.start(.roundTrip, deadline: loop.now + settings.connectTimeout) { [weak self] result in
            // The machine may have abandoned the connect by now.
            guard let self, connections[id.index] === connection else { return }
            if case .failure(let error) = result, connection.isClosed {
                connections[id.index] = nil
                apply { $0.connectFailed(id, error, at: $1) }
            } else {
                setUp(id, connection)
            }
        }
    }

    func connected(_ id: ConnectionID, _ connection: PostgresConnection) {
        let time = age(of: id, in: .connecting)
        if let time { measured(.opened(nanoseconds: time)) }
        let began = time.map { loop.now.advanced(byNanoseconds: -$0) }
        let took = began.map { $0 >= loop.latestPause } == true ? time ?? 0 : 0
        connection.onEnd = { [weak self] error in self?.disconnected(id, error) }
        updateRole()
        apply { $0.connected(id, hasWrongRole: connection.hasWrongRole(for: target), took: took, at: $1) }
    }
}

// Slots for the additional sockets of a connect that races addresses.
extension PostgresPool: ConnectAttemptClient {
    package func attemptMayOpenAnotherSocket(_ attempt: ConnectAttempt) -> Bool {
        guard let id = machine.borrowSlot(at: loop.now) else { return false }
        borrowedSlots[ObjectIdentifier(attempt), default: []].append(id)
        return true
    }

    package func attemptClosedExtraSocket(_ attempt: ConnectAttempt) {
        guard let id = borrowedSlots[ObjectIdentifier(attempt)]?.popLast() else { return }
        if borrowedSlots[ObjectIdentifier(attempt)]?.isEmpty == true { borrowedSlots[ObjectIdentifier(attempt)] = nil }
        apply { $0.returnSlot(id, at: $1) }
    }

    package func attemptProgressed(_ attempt: ConnectAttempt, isAnswer: Bool) {
        guard let index = attempts.firstIndex(where: { $0 === attempt }) else { return }
        apply { $0.progressed($0.slots.id(at: index), isAnswer: isAnswer, at: $1) }
    }

    package func attemptLostServer(_ attempt: ConnectAttempt) {
        guard let index = attempts.firstIndex(where: { $0 === attempt }) else { return }
        apply { $0.lostServer($0.slots.id(at: index), at: $1) }
    }
}
