public import DispatchLoop
internal import HTTP1

/// The body of a streaming response, sent in pieces until the handler ends it or the client leaves.
///
/// The server does not wait for a client that does not read. It drops the client when more than
/// ``ServerConfiguration/maxStreamBacklog`` bytes wait, plus about as many in the kernel, or when the client takes
/// nothing for ``ServerConfiguration/Timeouts/writeStall``. A stream has no idle timeout, so send heartbeats: a client
/// whose machine died never closes.
@LoopActor
public final class BodyStream {
    private var connection: Connection?
    /// Whether pieces are chunks (HTTP/1.1) or plain bytes until the connection closes (HTTP/1.0).
    let isChunked: Bool
    let request: RequestHead
    let status: Int
    let began: MonotonicTime
    /// The number of bytes passed to `send`.
    public private(set) var bodyBytes = 0

    /// Called once, soon after the connection closes or the server begins to shut down before `end()`; the stream is
    /// then closed. Never called from within `send`, so a sender to many streams can remove this one from its list
    /// here.
    public var onClose: (@LoopActor (ConnectionCloseReason) -> Void)?

    init(_ connection: Connection, request: RequestHead, status: Int, began: MonotonicTime) {
        self.connection = connection
        self.request = request
        self.status = status
        self.began = began
        isChunked = request.version == .http11
    }

    /// Whether the stream is closed: the client has left or was dropped, or `end()` was called.
    public var isClosed: Bool { connection == nil }

    /// The number of bytes that wait because the client does not read, framing included.
    package var waitingBytes: Int { connection?.output.count ?? 0 }

    /// Sends `bytes`. Copies only those that the socket does not take at once, so many streams can share one array. An
    /// empty array sends nothing.
    ///
    /// - Returns: `false` if the stream is closed.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        guard let connection else { return false }
        guard !bytes.isEmpty else { return true }
        bodyBytes += bytes.count
        connection.send(bytes, of: self)
        return !isClosed
    }

    /// Completes the response. Does nothing if the stream is closed.
    public func end() {
        guard let connection else { return }
        self.connection = nil
        onClose = nil
        connection.streamEnded(self, abortReason: nil)
    }

    /// Closes the stream because the connection cannot continue it.
    func close(_ reason: ConnectionCloseReason) {
        connection = nil
        guard let onClose else { return }
        self.onClose = nil
        EventLoop.shared.submit { onClose(reason) }
    }
}
