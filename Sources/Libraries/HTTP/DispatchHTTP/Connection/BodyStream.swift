public import DispatchLoop
internal import HTTP1

/// The body of an answer that goes on: pieces are sent as they come up, until somebody ends it or the client goes.
///
/// A client that does not read is not waited for: it is dropped when more than
/// ``ServerConfiguration/maxStreamBacklog`` bytes wait for it beside what the kernel holds, which is
/// about as much, or when it takes nothing for ``ServerConfiguration/Timeouts/writeStall``. There is no idle timeout while a stream runs, so send a sign of life now
/// and then: a client whose machine has died says nothing when it goes.
@LoopActor
public final class BodyStream {
    private var connection: Connection?
    /// Whether pieces go out as chunks (HTTP/1.1) or as they are until the connection closes (HTTP/1.0).
    let isChunked: Bool
    let request: RequestHead
    let status: Int
    let began: MonotonicTime
    /// How many bytes were given to `send`.
    public private(set) var bodyBytes = 0

    /// Called once, soon, when the connection closes or the server leaves before `end()`; nothing more can be sent then.
    /// Not called from within `send`, so that whoever sends to many may take them off its list here.
    public var onClose: (@LoopActor (ConnectionCloseReason) -> Void)?

    init(_ connection: Connection, request: RequestHead, status: Int, began: MonotonicTime) {
        self.connection = connection
        self.request = request
        self.status = status
        self.began = began
        isChunked = request.version == .http11
    }

    /// Whether nothing more can be sent: the client has gone, was dropped, or `end()` was called.
    public var isClosed: Bool { connection == nil }

    /// How many bytes wait because the client does not read, framing included.
    public var waitingBytes: Int { connection?.output.count ?? 0 }

    /// Sends `bytes`, which are copied only as far as the socket does not take them at once: many streams may be handed
    /// the same array. An empty array sends nothing.
    ///
    /// - Returns: Whether the stream is still open.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        guard let connection else { return false }
        guard !bytes.isEmpty else { return true }
        bodyBytes += bytes.count
        connection.send(bytes, of: self)
        return !isClosed
    }

    /// Ends the answer: the client knows that it is complete. Does nothing when the stream is closed.
    public func end() {
        guard let connection else { return }
        self.connection = nil
        onClose = nil
        connection.streamEnded(self, abortReason: nil)
    }

    /// The connection can take no more.
    func close(_ reason: ConnectionCloseReason) {
        connection = nil
        guard let onClose else { return }
        self.onClose = nil
        EventLoop.shared.submit { onClose(reason) }
    }
}
