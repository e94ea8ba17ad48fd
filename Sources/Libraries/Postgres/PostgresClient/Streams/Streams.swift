internal import DispatchPostgres

extension PostgresLease {
    /// Runs `body` with the rows of a statement while it runs, so that a result of any size needs little memory. When
    /// `body` returns or throws before the last row, the statement is cancelled, and the connection goes on; in a
    /// transaction, which that would abort, the rest is read and dropped, for `timeout` at most: then the session is given up.
    ///
    /// - Parameters:
    ///   - statement: one statement and its parameters.
    ///   - timeout: how long the server may send nothing while it is waited for; by default
    ///     ``PostgresClient/Settings/timeout``. Time that `body` takes does not count.
    ///   - body: runs in the caller's isolation. No other statement runs on this connection meanwhile.
    /// - Throws: ``PostgresClientError``, also while the rows are read, and what `body` throws.
    public func withRows<Value>(
        _ statement: SQLStatement, timeout: Duration? = nil, _ body: (RowSequence) async throws -> Value
    ) async throws -> Value {
        try await session.withRows(statement, in: nil, timeout, body)
    }

    /// Runs `body` with the data of a `COPY … TO STDOUT`, as ``withRows(_:timeout:_:)`` does with rows.
    public func withCopyOut<Value>(
        _ statement: SQLStatement, timeout: Duration? = nil, _ body: (CopySequence) async throws -> Value
    ) async throws -> Value {
        try await session.withCopyOut(statement, in: nil, timeout, body)
    }

    /// Sends data to a `COPY … FROM STDIN`, no faster than the server takes it. All of it is copied or, when the source
    /// or the server fails, nothing.
    ///
    /// - Parameters:
    ///   - statement: the statement.
    ///   - source: the data, in the statement's format; pieces may end anywhere.
    ///   - timeout: how long the server may take nothing, and how long it may take for the result; by default
    ///     ``PostgresClient/Settings/timeout``. Time that `source` takes does not count.
    /// - Returns: the number of rows copied.
    /// - Throws: ``PostgresClientError``, and what `source` throws.
    @discardableResult
    public func copyIn<Source: AsyncSequence>(
        _ statement: SQLStatement, from source: Source, timeout: Duration? = nil
    ) async throws -> Int where Source.Element: Sequence<UInt8> {
        try await session.copyIn(statement, from: source, in: nil, timeout)
    }
}

extension PostgresTransaction {
    /// Runs `body` with the rows of a statement while it runs; see ``PostgresLease/withRows(_:timeout:_:)``.
    public func withRows<Value>(
        _ statement: SQLStatement, timeout: Duration? = nil, _ body: (RowSequence) async throws -> Value
    ) async throws -> Value {
        try await session.withRows(statement, in: number, timeout, body)
    }

    /// Runs `body` with the data of a `COPY … TO STDOUT`; see ``PostgresLease/withCopyOut(_:timeout:_:)``.
    public func withCopyOut<Value>(
        _ statement: SQLStatement, timeout: Duration? = nil, _ body: (CopySequence) async throws -> Value
    ) async throws -> Value {
        try await session.withCopyOut(statement, in: number, timeout, body)
    }

    /// Sends data to a `COPY … FROM STDIN`; see ``PostgresLease/copyIn(_:from:timeout:)``. A failure aborts the
    /// transaction.
    @discardableResult
    public func copyIn<Source: AsyncSequence>(
        _ statement: SQLStatement, from source: Source, timeout: Duration? = nil
    ) async throws -> Int where Source.Element: Sequence<UInt8> {
        try await session.copyIn(statement, from: source, in: number, timeout)
    }
}

extension PostgresClient {
    /// Runs `body` with the rows of a statement while it runs, on a connection of its own; see
    /// ``PostgresLease/withRows(_:timeout:_:)``. `timeout` bounds the wait for the connection, too.
    public func withRows<Value>(
        _ statement: SQLStatement, timeout: Duration? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: (RowSequence) async throws -> Value
    ) async throws -> Value {
        try await withConnection(timeout: timeout, file: file, line: line) { connection in
            try await connection.withRows(statement, timeout: timeout, body)
        }
    }

    /// Runs `body` with the data of a `COPY … TO STDOUT`, on a connection of its own; see
    /// ``PostgresLease/withCopyOut(_:timeout:_:)``.
    public func withCopyOut<Value>(
        _ statement: SQLStatement, timeout: Duration? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: (CopySequence) async throws -> Value
    ) async throws -> Value {
        try await withConnection(timeout: timeout, file: file, line: line) { connection in
            try await connection.withCopyOut(statement, timeout: timeout, body)
        }
    }

    /// Sends data to a `COPY … FROM STDIN`, on a connection of its own; see ``PostgresLease/copyIn(_:from:timeout:)``.
    @discardableResult
    public func copyIn<Source: AsyncSequence>(
        _ statement: SQLStatement, from source: Source, timeout: Duration? = nil, file: StaticString = #fileID,
        line: UInt = #line
    ) async throws -> Int where Source.Element: Sequence<UInt8> {
        try await withConnection(timeout: timeout, file: file, line: line) { connection in
            try await connection.copyIn(statement, from: source, timeout: timeout)
        }
    }
}

extension LeasedSession {
    fileprivate nonisolated func withRows<Value>(
        _ statement: SQLStatement, in transaction: Int?, _ timeout: Duration?,
        _ body: (RowSequence) async throws -> Value
    ) async throws -> Value {
        try await withParts(of: statement, in: transaction, timeout) {
            try await body(RowSequence(parts: $0, session: self))
        }
    }

    fileprivate nonisolated func withCopyOut<Value>(
        _ statement: SQLStatement, in transaction: Int?, _ timeout: Duration?,
        _ body: (CopySequence) async throws -> Value
    ) async throws -> Value {
        try await withParts(of: statement, in: transaction, timeout) {
            try await body(CopySequence(parts: $0, session: self))
        }
    }

    /// The most that is handed to the session at once: it is buffered there while the kernel takes no more.
    private nonisolated static var pieceLimit: Int { 65_536 }

    fileprivate nonisolated func copyIn<Source: AsyncSequence>(
        _ statement: SQLStatement, from source: Source, in transaction: Int?, _ timeout: Duration?
    ) async throws -> Int where Source.Element: Sequence<UInt8> {
        try await withParts(of: statement, isWriting: true, in: transaction, timeout) { parts in
            var buffer: [UInt8] = []
            for try await piece in source {
                buffer.append(contentsOf: piece)
                var sent = 0
                while buffer.count - sent >= Self.pieceLimit {
                    try await write(Array(buffer[sent..<sent + Self.pieceLimit]), to: parts)
                    sent += Self.pieceLimit
                }
                buffer.removeFirst(sent)
            }
            if !buffer.isEmpty { try await write(buffer, to: parts) }
            return try await finish(parts)
        }
    }
}
