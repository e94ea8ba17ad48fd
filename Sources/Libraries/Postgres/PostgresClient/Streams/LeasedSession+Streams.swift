internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// Statements whose result is read while they run, and COPY, on the leased session.
extension LeasedSession {
    /// Runs `body` with the parts of a statement's result, and ends the statement.
    nonisolated func withParts<Value>(
        of statement: SQLStatement, isWriting: Bool = false, in transaction: Int?, _ timeout: Duration?,
        _ body: (PartStream) async throws -> Value
    ) async throws -> Value {
        let parts = try await start(
            try encoded(statement), isWriting: isWriting, in: transaction, timeout ?? self.timeout)
        do {
            let value = try await body(parts)
            await leave(parts)
            return value
        } catch {
            await leave(parts)
            throw error
        }
    }

    private nonisolated func encoded(_ statement: SQLStatement) throws(PostgresClientError) -> Statement {
        do { return try statement.encoded() } catch { throw PostgresClientError(error, isIdempotent: false) }
    }

    private func start(
        _ statement: Statement, isWriting: Bool, in transaction: Int?, _ timeout: Duration
    ) throws(PostgresClientError) -> PartStream {
        try checkScope(transaction)
        do {
            let left = min(bound, transactionBound) - .now()
            return try connection.stream(statement, isWriting: isWriting, timeout: max(.zero, min(timeout, left)))
        } catch {
            throw failed(error)
        }
    }

    /// Ends a statement that may still run. A failure that nobody has read counts for the transaction.
    private func leave(_ parts: PartStream) async {
        if parts.outcome != nil { return }
        await parts.leave()
        if isInTransaction, case .failure(let error)? = parts.outcome { _ = failed(error) }
    }

    /// What a failure means for the caller; the transaction's first one is noted.
    private func failed(_ error: any Error) -> PostgresClientError {
        let error = PostgresClientError(error, isIdempotent: false, isInTransaction: isInTransaction)
        if isInTransaction, failure == nil { failure = error }
        return error
    }

    func next(of parts: PartStream) async throws(PostgresClientError) -> StreamPart? {
        do { return try await parts.next() } catch { throw failed(error) }
    }

    /// Sends data, and returns when it was handed to the kernel, or waits in one buffer.
    func write(_ bytes: [UInt8], to parts: PartStream) async throws(PostgresClientError) {
        do { try await parts.write(bytes) } catch { throw failed(error) }
    }

    /// Ends the data. Returns the number of rows copied.
    func finish(_ parts: PartStream) async throws(PostgresClientError) -> Int {
        do { return try await parts.finish().rowCount ?? 0 } catch { throw failed(error) }
    }
}
