internal import DispatchPostgres
internal import PostgresSession

/// The data of a `COPY … TO STDOUT` that is still running: in order, once, in pieces of some 32 KiB that end with a row.
/// While it is not read, the server waits.
///
/// ```swift
/// try await client.withCopyOut("copy users to stdout") { data in
///     for try await bytes in data { try file.write(bytes) }
/// }
/// ```
public struct CopySequence: AsyncSequence {
    /// Bytes, in the format that the statement asks for.
    public typealias Element = [UInt8]
    /// Why the rest of the data cannot be had.
    public typealias Failure = PostgresClientError

    let parts: PartStream
    let session: LeasedSession

    /// Reads the data. A second iterator goes on where the first has stopped.
    public func makeAsyncIterator() -> Iterator { Iterator(parts: parts, session: session) }

    /// Reads data.
    public struct Iterator: AsyncIteratorProtocol {
        let parts: PartStream
        let session: LeasedSession

        /// The next piece; `nil` at the end.
        ///
        /// - Throws: ``PostgresClientError``; of kind `cancelled` when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(PostgresClientError) -> [UInt8]? {
            switch try await session.next(of: parts) {
            case nil: return nil
            case .data(let bytes): return bytes
            case .rows:
                throw PostgresClientError(
                    .misuse, isSafeToRetry: false, text: "the statement returns rows; use withRows")
            }
        }
    }
}
