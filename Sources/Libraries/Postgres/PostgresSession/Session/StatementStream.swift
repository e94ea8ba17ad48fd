internal import CLibPQ
package import DispatchLoop

/// What a running statement sends, in parts.
package enum StreamPart: Sendable {
    /// Rows, without a command tag.
    case rows(QueryResult)
    /// Data of `COPY … TO STDOUT`: whole lines, or whole messages of the binary format.
    case data([UInt8])
}

/// Receives what a statement sends while it runs. ``StatementDelegate/connection(_:finished:)`` follows, with the command
/// tag and without rows.
@LoopActor
package protocol StreamReceiver: StatementDelegate {
    /// A part has arrived. Returns whether another may follow now; otherwise the session reads nothing more until
    /// ``PostgresConnection/resumeStream()``, and the server waits once the buffers between are full.
    func connection(_ connection: PostgresConnection, received part: StreamPart) -> Bool
    /// The server takes data (`COPY … FROM STDIN`), and what was sent before has left this process.
    func connectionTakesData(_ connection: PostgresConnection)
}

/// The state of a statement whose rows are delivered as they arrive, or whose data is copied.
///
/// ```
///   results ── CopyOut ──▶ copyingOut ── end of the data ──▶ results ──▶ over
///      │  └─── CopyIn ───▶ copyingIn ─── endCopy ──────────────▲
///      └─ rows ─▶ part ─▶ paused ── resumeStream ─▶ results
/// ```
@LoopActor
final class StatementStream {
    enum Stage { case results, copyingOut, copyingIn }

    /// A part ends when it holds this many rows or bytes: it takes the loop well under a millisecond.
    nonisolated static let rowLimit = 128
    nonisolated static let byteLimit = 32_768

    let receiver: any StreamReceiver
    /// How long the server may be silent while the caller waits for it.
    let timeout: Duration
    var stage = Stage.results
    /// The receiver wants no more for now, so the socket is not watched.
    var isPaused = false
    /// The receiver has left: whatever arrives is dropped.
    var isDiscarding = false
    /// The loop was asked to come back to it.
    var isContinuing = false
    /// The caller waits until libpq's buffer is empty.
    var awaitsFlush = false
    private var rows = StreamedRows()
    private var data: [UInt8] = []

    init(receiver: any StreamReceiver, timeout: Duration) {
        self.receiver = receiver
        self.timeout = timeout
    }

    /// Whether a part is full.
    var isPartFull: Bool { rows.count >= Self.rowLimit || rows.size >= Self.byteLimit || data.count >= Self.byteLimit }

    func append(row result: OpaquePointer, reusing columns: inout [QueryResult.Column]) {
        rows.append(result, reusing: &columns)
    }

    func append(data bytes: UnsafeBufferPointer<UInt8>) { data.append(contentsOf: bytes) }

    /// The rows or bytes since the previous part; `nil` if there are none, or the receiver has left.
    func takePart() -> StreamPart? {
        defer {
            rows = StreamedRows()
            data = []
        }
        if isDiscarding { return nil }
        if !data.isEmpty { return .data(data) }
        return rows.count == 0 ? nil : .rows(rows.result)
    }
}
