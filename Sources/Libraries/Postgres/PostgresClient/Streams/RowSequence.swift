internal import DispatchPostgres
internal import PostgresSession

/// The rows of a statement that is still running: in order, once, and never more than a few hundred of them in memory.
/// While they are not read, the server waits.
///
/// ```swift
/// try await client.withRows("select id, name from users") { rows in
///     for try await row in rows {
///         let (id, name) = try row.decode((Int, String).self)
///         …
///     }
/// }
/// ```
public struct RowSequence: AsyncSequence {
    /// A row.
    public typealias Element = Row
    /// Why the rest of the rows cannot be had.
    public typealias Failure = PostgresClientError

    let parts: PartStream
    let session: LeasedSession

    /// Reads the rows. A second iterator goes on where the first has stopped, but for rows that that one holds.
    public func makeAsyncIterator() -> Iterator { Iterator(parts: parts, session: session) }

    /// Reads rows.
    public struct Iterator: AsyncIteratorProtocol {
        let parts: PartStream
        let session: LeasedSession
        private var rows = Rows(QueryResult(command: "", rowCount: nil, columns: [], values: []))
        private var position = 0

        init(parts: PartStream, session: LeasedSession) {
            self.parts = parts
            self.session = session
        }

        /// The next row; `nil` at the end.
        ///
        /// - Throws: ``PostgresClientError``; of kind `cancelled` when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(PostgresClientError) -> Row? {
            while position == rows.count {
                guard let part = try await session.next(of: parts) else { return nil }
                guard case .rows(let result) = part else {
                    throw PostgresClientError(
                        .misuse, isSafeToRetry: false, text: "the statement copies data; use withCopyOut")
                }
                rows = Rows(result)
                position = 0
            }
            defer { position += 1 }
            return rows[position]
        }
    }
}
