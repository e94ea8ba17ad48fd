import PostgresClient

/// How a change ended, as the service was told.
enum Outcome: Sendable, Equatable, CustomStringConvertible {
    /// Acknowledged: it is there.
    case done
    /// It is surely not there.
    case failed
    /// It may be there or not; the kind of the error.
    case unknown(PostgresClientError.Kind)

    var description: String {
        switch self {
        case .done: "done"
        case .failed: "failed"
        case .unknown(let kind): "unknown (\(kind))"
        }
    }

    /// What an error says of a statement that is not idempotent, or of a transaction.
    init(_ error: any Error) {
        guard let error = error as? PostgresClientError else {
            self = .failed  // The body's own, which rolled back.
            return
        }
        switch error.kind {
        case .outcomeUnknown: self = .unknown(error.kind)
        case .connectionLost, .timedOut, .cancelled: self = error.isSafeToRetry ? .failed : .unknown(error.kind)
        case .rejected, .unavailable, .rolledBack, .invalidStatement, .misuse: self = .failed
        }
    }
}

/// What the workers and the reader of the subscription have seen.
actor Tally {
    var notes: [Int: (note: Note, outcome: Outcome)] = [:]
    var transfers: [Int: Outcome] = [:]
    var batches: [Int: Outcome] = [:]
    var reads = 0
    /// What must never happen.
    var faults: [String] = []
    /// Errors of all work, by kind.
    var errors: [String: Int] = [:]
    var notified: Set<Int> = []
    var gaps = 0
    var isOver = false

    private var successes = 0
    private var failures = 0
    private var waiters: [(isMet: (isolated Tally) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

    func note(_ note: Note, _ error: (any Error)?) {
        notes[note.id] = (note, outcome(error))
        change()
    }

    func transfer(_ id: Int, _ error: (any Error)?) {
        transfers[id] = outcome(error)
        change()
    }

    func batch(_ id: Int, _ error: (any Error)?) {
        batches[id] = outcome(error)
        change()
    }

    func read(_ error: (any Error)?) {
        if outcome(error) == .done { reads += 1 }
        change()
    }

    func receive(_ event: SubscriptionEvent) {
        switch event {
        case .listening: break
        case .notification(let notification): notified.insert(Int(notification.payload) ?? 0)
        case .gap: gaps += 1
        }
        change()
    }

    func fault(_ text: String) { faults.append(text) }

    func end() { isOver = true }

    /// Waits for so many further successes or failures from now on.
    func wait(successes more: Int = 0, failures moreFailures: Int = 0) async {
        let (successes, failures) = (successes + more, failures + moreFailures)
        await wait { $0.successes >= successes && $0.failures >= failures }
    }

    /// Waits until `isMet` holds.
    func wait(until isMet: @escaping @Sendable (isolated Tally) -> Bool) async {
        if isMet(self) { return }
        await withCheckedContinuation { waiters.append((isMet, $0)) }
    }

    private func outcome(_ error: (any Error)?) -> Outcome {
        guard let error else {
            successes += 1
            return .done
        }
        failures += 1
        if let error = error as? PostgresClientError {
            errors["\(error.kind)", default: 0] += 1
            if error.sqlState == .uniqueViolation { faults.append("ran twice: \(error)") }
            if error.kind == .misuse || error.kind == .invalidStatement { faults.append("\(error)") }
        } else if !(error is Bank.NotEnough) {
            faults.append("\(error)")
        }
        return Outcome(error)
    }

    private func change() {
        let met = waiters.filter { $0.isMet(self) }
        waiters.removeAll { $0.isMet(self) }
        for waiter in met { waiter.continuation.resume() }
    }
}
