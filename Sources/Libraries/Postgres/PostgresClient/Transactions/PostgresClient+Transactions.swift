internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

extension PostgresClient {
    /// Runs `body` in a transaction: commits when it returns; rolls back when it throws, or the task is cancelled.
    ///
    /// - Parameters:
    ///   - isolation: how it sees the changes of others; by default as the server is configured.
    ///   - readOnly: whether it may change nothing.
    ///   - deferrable: for a serializable, read-only one: waits until it cannot fail with 40001.
    ///   - retry: whether it runs again, `body` included, when the server undid it because of others; by default
    ///     ``Settings/transactionRetry``. Never after the answer to COMMIT was lost.
    ///   - timeout: how long to wait for a connection; by default ``Settings/timeout``. Statements have their own.
    ///   - deadline: until when it may take, further runs included. When it has passed, it is rolled back.
    ///   - file: the caller's file, for ``Settings/onLongLease``.
    ///   - line: the caller's line.
    ///   - body: runs in the caller's isolation. Its transaction ends with it.
    /// - Throws: what `body` throws; ``PostgresClientError``, of kind `outcomeUnknown` when the answer to COMMIT was lost,
    ///   and of kind `rolledBack` when a statement failed whose error `body` did not throw.
    public func withTransaction<Value>(
        isolation: TransactionIsolation? = nil, readOnly: Bool = false, deferrable: Bool = false,
        retry: TransactionRetry? = nil, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil,
        file: StaticString = #fileID, line: UInt = #line,
        _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        let mode = TransactionMode(isolation: isolation, isReadOnly: readOnly, isDeferrable: deferrable)
        let place = SourcePlace(file: file, line: line)
        return try await (retry ?? settings.transactionRetry).run(until: deadline) {
            let session = try await self.lease(timeout, deadline, place)
            let outcome = await session.transaction(mode, timeout, deadline, body)
            await session.end()
            return outcome
        }
    }
}

extension PostgresLease {
    /// Runs `body` in a transaction on this connection; see
    /// ``PostgresClient/withTransaction(isolation:readOnly:deferrable:retry:timeout:deadline:file:line:_:)``.
    public func withTransaction<Value>(
        isolation: TransactionIsolation? = nil, readOnly: Bool = false, deferrable: Bool = false,
        retry: TransactionRetry? = nil, deadline: ContinuousClock.Instant? = nil,
        _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        let mode = TransactionMode(isolation: isolation, isReadOnly: readOnly, isDeferrable: deferrable)
        return try await (retry ?? session.retry).run(until: deadline) {
            await session.transaction(mode, nil, deadline, body)
        }
    }
}

/// How one run of a transaction ended.
enum TransactionOutcome<Value> {
    case committed(Value)
    /// `isConflict`: the server undid it because of others, so that it may succeed when it runs again.
    case failed(any Error, isConflict: Bool)
}

extension LeasedSession {
    /// Runs a transaction once, in the caller's isolation.
    nonisolated func transaction<Value>(
        _ mode: TransactionMode, _ timeout: Duration?, _ deadline: ContinuousClock.Instant?,
        _ body: (PostgresTransaction) async throws -> Value
    ) async -> TransactionOutcome<Value> {
        let transaction: PostgresTransaction
        do {
            let number = try await begin(
                mode, deadline: Limit.of(timeout ?? self.timeout, deadline), bound: Limit.of(nil, deadline))
            transaction = PostgresTransaction(self, number: number)
        } catch {
            return .failed(error, isConflict: false)
        }
        let value: Value
        do {
            value = try await body(transaction)
            try Task.checkCancellation()
        } catch {
            // The body may have put the error into one of its own.
            let failure = await rollBack()
            let isConflict = failure?.cause?.asksForNewTransaction ?? false
            return .failed(error, isConflict: isConflict && !(error is CancellationError))
        }
        do {
            try await commit()
            return .committed(value)
        } catch {
            let isConflict = error.kind != .outcomeUnknown && error.cause?.asksForNewTransaction ?? false
            return .failed(error, isConflict: isConflict)
        }
    }
}

extension TransactionRetry {
    /// Runs a transaction until it succeeds, fails for another reason than a conflict, or may not run again.
    func run<Value>(
        until deadline: ContinuousClock.Instant?, _ transaction: () async throws -> TransactionOutcome<Value>
    ) async throws -> Value {
        var generator = SystemRandomNumberGenerator()
        var runs = 0
        while true {
            switch try await transaction() {
            case .committed(let value): return value
            case .failed(let error, let isConflict):
                runs += 1
                guard isConflict, runs <= limit, !Task.isCancelled else { throw error }
                let pause = pause(before: runs, using: &generator)
                if let deadline, ContinuousClock.now + pause >= deadline { throw error }
                try await Task.sleep(for: pause)
            }
        }
    }
}
