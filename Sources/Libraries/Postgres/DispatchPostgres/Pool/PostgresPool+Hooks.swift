import DispatchLoop
import PostgresSession

// The hooks' part in connecting and returning. For the machine each is a part of the connect, or of the reset.
extension PostgresPool {
    /// A provider that has failed is not asked again within this time, however many connects want it.
    static let providerPause = Duration.milliseconds(250)

    /// Asks for the password, then connects with it.
    func askForPassword(_ id: ConnectionID, _ provider: @escaping @Sendable () async throws -> String) {
        if let refused = passwordRefusal, loop.now < refused.until {
            return apply { $0.connectFailed(id, refused.error, at: $1) }
        }
        // Not silence of the server: as patient as with a slow login.
        apply { $0.progressed(id, isAnswer: false, at: $1) }
        hookTasks[id.index] = HookTask(timeout: hooks.passwordTimeout, provider) { [weak self] outcome in
            guard let self, machine.slots.state(id) == .connecting else { return }
            hookTasks[id.index] = nil
            var configuration = configuration
            if let fault = configuration.use(outcome) {
                passwordRefusal = (fault, loop.now + Self.providerPause)
                return apply { $0.connectFailed(id, fault, at: $1) }
            }
            apply { $0.beginsConnecting(id, at: $1) }
            connect(id, with: configuration)
        }
    }

    /// The local cause that has held a connect up for a second or longer.
    var hindranceOfConnects: PostgresError? {
        if let hindrance = attempts.lazy.compactMap({ $0?.hindrance }).first { return hindrance }
        let isLate = hookTasks.indices.contains { index in
            guard let task = hookTasks[index], connections[index] == nil else { return false }
            return loop.now - task.began >= .seconds(1)
        }
        return isLate ? .passwordProvider("the password provider has not answered yet") : nil
    }

    /// Lets the hook prepare a session that was just opened.
    func setUp(_ id: ConnectionID, _ connection: PostgresConnection) {
        if let onNotice = hooks.onNotice {
            connection.onNotice = { [unowned connection] in onNotice($0, connection, $1) }
        }
        let isUseless = target.isStrict && connection.hasWrongRole(for: target)
        guard hooks.setUp != nil, !isUseless else { return connected(id, connection) }
        runSetUp(id, connection) { [weak self] error in
            guard let self else { return }
            guard let error else { return connected(id, connection) }
            connections[id.index] = nil
            connection.abort()
            apply { $0.connectFailed(id, error, at: $1) }
        }
    }

    /// Runs the hook on a session. `completion` is not called when the pool closes the session meanwhile.
    private func runSetUp(
        _ id: ConnectionID, _ connection: PostgresConnection, completion: @escaping @LoopActor (PostgresError?) -> Void
    ) {
        guard let setUp = hooks.setUp else { return completion(nil) }
        let onEnd = connection.onEnd
        let end: @LoopActor (PostgresError?) -> Void = { [weak self, weak connection] error in
            guard let self, let connection, connections[id.index] === connection else { return }
            hookTasks[id.index].take()?.cancel()
            connection.onEnd = onEnd
            if error == nil { recordProgress(id) }
            completion(error)
        }
        connection.onEnd = { [target] error in end(.setUpFailed(error, hasWrongRole: false, target: target)) }
        let hook: @Sendable () async throws -> Void = { try await setUp(connection) }
        hookTasks[id.index] = HookTask(timeout: hooks.setUpTimeout, hook) { [target] outcome in
            let hasWrongRole = connection.hasWrongRole(for: target)
            switch outcome {
            case .value where connection.isClosed:
                end(.setUpFailed(PostgresConnection.closedError, hasWrongRole: hasWrongRole, target: target))
            case .value where connection.isInTransaction || !connection.isIdle:
                end(.setUp("it left a transaction or a statement open"))
            case .value: end(nil)
            case .failed(let error): end(.setUpFailed(error, hasWrongRole: hasWrongRole, target: target))
            case .timedOut: end(.setUp("it did not end in time"))
            }
        }
    }

    private func recordProgress(_ id: ConnectionID) {
        apply { $0.progressed(id, isAnswer: true, at: $1) }
    }

    /// Runs what the hooks ask for on a session that was rolled back.
    func cleanUp(_ id: ConnectionID, _ connection: PostgresConnection) {
        guard let reset = hooks.reset else { return apply { $0.wasReset(id, at: $1) } }
        let end: @LoopActor (PostgresError?) -> Void = { [weak self] error in
            guard let self, connections[id.index] === connection else { return }
            if let error, connection.isClosed {
                disconnected(id, error)
            } else if error != nil || connection.isInTransaction {
                discard(id, .resetFailed, error)
            } else {
                apply { $0.wasReset(id, at: $1) }
            }
        }
        connection.start(reset.statement, deadline: loop.now + patience) { [weak self] result in
            if case .failure(let error) = result { return end(error) }
            if reset.forgetsPrepared { connection.forgetPreparedStatements() }
            guard let self, reset.undoesSetUp, !connection.isInTransaction else { return end(nil) }
            runSetUp(id, connection, completion: end)
        }
    }
}

extension ConnectionConfiguration {
    /// Takes the provider's password. Returns why it cannot.
    fileprivate mutating func use(_ outcome: HookTask.Outcome<String>) -> PostgresError? {
        switch outcome {
        case .value(let password):
            return set(password: password)
                ? nil : .passwordProvider("the password provider gave a password that is empty or holds a NUL")
        // By its type only: the text may quote the secret.
        case .failed(let error): return .passwordProvider("the password provider failed with \(type(of: error))")
        case .timedOut: return .passwordProvider("the password provider did not answer in time")
        }
    }
}

extension PostgresError {
    fileprivate static func passwordProvider(_ message: String) -> PostgresError {
        PostgresError(code: Code.passwordProvider, message: message, disposition: .outage, wasNeverSent: true)
    }

    /// How the message begins when the hook failed.
    package static let setUpFailure = "setting the new connection up failed"

    fileprivate static func setUp(_ reason: String) -> PostgresError {
        PostgresError(
            code: Code.setUp, message: "\(setUpFailure): \(reason)", disposition: .outage,
            wasNeverSent: true)
    }

    /// A failure of the hook, as the failure of the connect that it is.
    fileprivate static func setUpFailed(
        _ error: any Error, hasWrongRole: Bool, target: SessionTarget
    ) -> PostgresError {
        // By its type only: what others' errors say may be secret.
        guard var error = error as? PostgresError else { return setUp("\(type(of: error))") }
        error.message = setUp(error.message).message
        error.wasNeverSent = true
        switch error.disposition {
        case .statement:
            // Refused for a reason that only an operator can remove, or for one that may pass.
            let state = error.endsSession ? nil : SQLState(rawValue: error.code)
            error.disposition = state?.disposition(severity: .error, phase: .connecting) ?? .outage
        case .wrongRole where !hasWrongRole: error.disposition = .outage
        case .discard, .terminated, .outage, .wrongRole, .configuration: break
        }
        return error
    }
}
