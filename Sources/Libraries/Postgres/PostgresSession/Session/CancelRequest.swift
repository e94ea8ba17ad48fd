internal import CLibPQ
package import DispatchLoop
internal import Glibc

/// Asks the server to cancel a session's statement, so that abandoned work does not pile up there.
///
/// Sends one packet on a separate connection, which the server closes once it has passed the request on (PostgreSQL
/// manual, 55.2.9, "Canceling Requests in Progress"). The outcome shows on the session, as 57014.
///
/// ```
///   waiting ── fewer than `limit` under way ──▶ connecting ── writable ──▶ sent ── end ──▶ done (delivered)
///                                                  └──── error, deadline ────┴──────────▶ done (not delivered)
/// ```
@LoopActor
package final class CancelRequest {
    /// Maximum requests in flight: each takes a socket besides the pool's, and a process at the server. Further ones
    /// wait; none is dropped.
    package static let limit = 1
    /// Time limit of one request. A server that does not accept it does not answer anything else either.
    package static let timeout = Duration.seconds(5)

    private static var inFlight = 0
    private static var waiting: [CancelRequest] = []

    private var request: clibpq_cancel
    private let loop = EventLoop.shared
    private var descriptor: Int32 = -1
    private var registration: Registration?
    private var timer: TimerID?
    private var isSent = false
    /// Whether it was sent and not confirmed: it may still cancel a later statement of the session.
    package private(set) var mayStillArrive = false
    private var completion: (@LoopActor (Bool) -> Void)?

    /// `nil` when the session is closed, or this libpq does not reveal its key.
    init?(_ connection: OpaquePointer) {
        request = clibpq_cancel()
        guard clibpq_cancel_request(connection, &request) == 1 else { return nil }
    }

    /// Sends the request; call it once. `completion` runs later, with whether the server confirmed it.
    package func send(completion: @escaping @LoopActor (_ isDelivered: Bool) -> Void) {
        self.completion = completion
        Self.waiting.append(self)
        loop.submit { Self.beginNext() }
    }

    /// Withdraws a request that still waits, and calls `completion` with `false`. A request in flight may still cancel
    /// any statement that the session runs when it arrives.
    package func withdraw() {
        guard let index = Self.waiting.firstIndex(where: { $0 === self }) else { return }
        Self.waiting.remove(at: index)
        let completion = completion
        self.completion = nil
        completion?(false)
    }

    private static func beginNext() {
        while inFlight < limit, !waiting.isEmpty {
            inFlight += 1
            waiting.removeFirst().begin()
        }
    }

    private func begin() {
        descriptor = clibpq_open_cancel(&request)
        guard descriptor >= 0 else { return finish(isDelivered: false) }
        timer = loop.schedule(at: loop.now + Self.timeout) { [self] in
            timer = nil
            finish(isDelivered: false)
        }
        do throws(SystemCallError) {
            registration = try loop.register(descriptor, for: .write, trigger: .level) { [self] _ in ready() }
        } catch {
            finish(isDelivered: false)
        }
    }

    private func ready() {
        if isSent {
            // The server only closes this connection.
            var byte: UInt8 = 0
            let count = recv(descriptor, &byte, 1, 0)
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            return finish(isDelivered: count == 0)
        }
        let packet = withUnsafeBytes(of: &request.packet) {
            Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard packet == MemoryLayout.size(ofValue: request.packet), let registration else {
            return finish(isDelivered: false)
        }
        isSent = true
        mayStillArrive = true
        loop.modify(registration, for: .read)
    }

    private func finish(isDelivered: Bool) {
        if let registration { loop.deregister(registration) }
        registration = nil
        if let timer { loop.cancel(timer) }
        timer = nil
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        Self.inFlight -= 1
        if isDelivered { mayStillArrive = false }
        let completion = completion
        self.completion = nil
        completion?(isDelivered)
        Self.beginNext()
    }
}
