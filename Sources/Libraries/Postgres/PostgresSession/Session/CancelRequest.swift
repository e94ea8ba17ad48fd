internal import CLibPQ
package import DispatchLoop
internal import Glibc

/// Asks the server to stop what a session is running, so that work nobody waits for does not pile up there.
///
/// One packet on a connection of its own, which the server closes when it has passed the request on (PostgreSQL manual,
/// 55.2.9, "Canceling Requests in Progress"). It does not say what became of it: the session does, with 57014.
///
/// ```
///   waiting ── fewer than `limit` under way ──▶ connecting ── writable ──▶ sent ── end ──▶ done (delivered)
///                                                  └──── error, deadline ────┴──────────▶ done (not delivered)
/// ```
@LoopActor
package final class CancelRequest {
    /// The most requests under way at a time; each is a socket beside the pool's, and for the server a process. Further ones
    /// wait: none is dropped.
    package static let limit = 1
    /// How long one may take. A server that does not take it does not answer anything else either.
    package static let timeout = Duration.seconds(5)

    private static var inFlight = 0
    private static var waiting: [CancelRequest] = []

    private var request: clibpq_cancel
    private let loop = EventLoop.shared
    private var descriptor: Int32 = -1
    private var registration: Registration?
    private var timer: TimerID?
    private var isSent = false
    /// Whether it was sent and the server has not said that it took it: it may stop what the session runs later.
    package private(set) var mayStillArrive = false
    private var completion: (@LoopActor (Bool) -> Void)?

    /// `nil` when the session is over, or libpq does not tell its key.
    init?(_ connection: OpaquePointer) {
        request = clibpq_cancel()
        guard clibpq_cancel_request(connection, &request) == 1 else { return nil }
    }

    /// Sends it, once. `completion` is called, never from within this call, with whether the server has taken it.
    package func send(completion: @escaping @LoopActor (_ isDelivered: Bool) -> Void) {
        self.completion = completion
        Self.waiting.append(self)
        loop.submit { Self.beginNext() }
    }

    /// Takes it back, if it has not been begun: `completion` is called with `false` then. One that is under way may still stop
    /// whatever the session runs when it arrives.
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
            // The server says nothing on this connection; what can be read is its end.
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
