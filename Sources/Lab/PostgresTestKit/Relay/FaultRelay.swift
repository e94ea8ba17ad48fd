import DispatchLoop
import Dispatch
import Glibc

/// A TCP relay between a service and its database that injects faults: it refuses, stays silent, stalls, delays,
/// throttles, cuts and resets, and forgets connections as a firewall does.
///
/// ```swift
/// let relay = try FaultRelay(to: sandbox)
/// let url = sandbox.connectionURL(port: relay.port)
/// relay.behave(.blackHole)
/// ```
///
/// It listens on its own port on the loopback address, and keeps the port while it refuses. Its methods return when they
/// have taken effect. It ends with ``shutDown()``, or when it is released.
public final class FaultRelay: Sendable {
    /// What the relay has counted.
    public struct Statistics: Sendable, Equatable {
        /// Connections accepted so far.
        public internal(set) var accepted = 0
        /// Connections open on the client's side now.
        public internal(set) var open = 0
        /// The maximum of ``open``.
        public internal(set) var peak = 0
        /// Connections that the client closed before the server or the relay did.
        public internal(set) var closedByClient = 0
    }

    /// State shared with the relay's thread.
    struct Shared {
        var behaviour = RelayBehaviour.forwarding
        /// Commands that the thread executes once.
        var pending: [Command] = []
        var statistics = Statistics()
        var isClosed = false
        /// Callers that wait until their command takes effect.
        var waiting: [DispatchSemaphore] = []
        var hasEnded = false
    }

    enum Command {
        case reset
        case forget
        case closeToClient
        case closeToServer
    }

    /// The port that the relay listens on, on 127.0.0.1.
    public let port: UInt16
    /// Nil if the caller chose the port, which then is not reserved while the relay refuses.
    private let reservation: PortReservation?
    private let shared = Locked(Shared())
    private let wake: Int32
    private let loop: BackgroundLoop

    /// Relays to a sandbox, from a free port of 127.0.0.1.
    ///
    /// - Throws: ``SandboxError``, if the system gives it no sockets.
    public convenience init(to sandbox: PostgresSandbox) throws { try self.init(to: sandbox.port) }

    /// Relays to a port of the loopback address. Listens on a free port of 127.0.0.1 by default.
    package init(to target: UInt16, on address: IPv4Address = .loopback, port wanted: UInt16? = nil) throws {
        let reservation = wanted == nil ? try PortReservation() : nil
        self.reservation = reservation
        let port = wanted ?? reservation?.port ?? 0
        self.port = port
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw SandboxError(.service, "cannot create a relay: \(SandboxError.systemMessage)")
        }
        wake = ends[0]
        var relay = RelayLoop(address: address, port: port, target: target, wake: ends[1], shared: shared)
        guard relay.listen() else {
            close(ends[0])
            throw SandboxError(.service, "the relay cannot listen on \(port): \(SandboxError.systemMessage)")
        }
        loop = BackgroundLoop("relay \(port)") { [relay] _ in
            var relay = relay
            relay.run()
        }
    }

    deinit {
        // The hang-up ends the loop.
        shared.withLock { $0.isClosed = true }
        close(wake)
    }

    /// What has been counted until now.
    public var statistics: Statistics { shared.withLock { $0.statistics } }

    /// Changes the behaviour, for open and for later connections.
    public func behave(_ behaviour: RelayBehaviour) { send { $0.behaviour = behaviour } }

    /// Resets every open connection (RST) on both sides.
    public func resetAll() { send { $0.pending.append(.reset) } }

    /// Kills all open connections without closing them, as a firewall that lost its state does. New connections work.
    public func forgetAll() { send { $0.pending.append(.forget) } }

    /// Closes every open connection towards the client, which reads the end and may continue to send.
    public func closeToClient() { send { $0.pending.append(.closeToClient) } }

    /// Closes every open connection towards the server, which reads the end and may continue to send.
    public func closeToServer() { send { $0.pending.append(.closeToServer) } }

    /// Waits until what is counted satisfies `condition`, for instance until a client has connected again.
    ///
    /// - Throws: ``SandboxError`` of kind `timedOut` after `limit`; `CancellationError`.
    public func wait(within limit: Duration = .seconds(30), until condition: (Statistics) -> Bool) async throws {
        guard try await Deadline(in: limit).wait(every: .milliseconds(2), until: { condition(statistics) }) else {
            throw SandboxError(.timedOut, "the relay counted \(statistics), and not what was waited for")
        }
    }

    /// Closes all connections and the port. Returns after that.
    public func shutDown() async {
        send { $0.isClosed = true }
        await loop.waitForEnd()
    }

    /// Sends a command to the thread. Returns when it has taken effect, after one iteration of the loop.
    private func send(_ change: (inout Shared) -> Void) {
        let isInForce = DispatchSemaphore(value: 0)
        let hasEnded = shared.withLock { shared in
            change(&shared)
            if !shared.hasEnded { shared.waiting.append(isInForce) }
            return shared.hasEnded
        }
        if hasEnded { return }
        var byte: UInt8 = 0
        // If the socket is full, the loop is awake already.
        _ = Glibc.send(wake, &byte, 1, Int32(MSG_NOSIGNAL))
        isInForce.wait()
    }
}
