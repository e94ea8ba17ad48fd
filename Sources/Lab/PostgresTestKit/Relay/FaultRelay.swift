import DispatchLoop
import Dispatch
import Glibc

/// A TCP relay between a service and its database that injects faults: it refuses, stays silent, stalls, delays,
/// throttles, cuts and resets, and forgets connections as a firewall does.
///
/// It listens on its own port on the loopback address, and keeps the port while it refuses.
package final class FaultRelay: Sendable {
    package struct Statistics: Sendable, Equatable {
        /// Connections accepted so far.
        package internal(set) var accepted = 0
        /// Connections open on the client's side now.
        package internal(set) var open = 0
        /// The maximum of `open`.
        package internal(set) var peak = 0
        /// Connections that the client closed before the server or the relay did.
        package internal(set) var closedByClient = 0
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

    package let port: UInt16
    /// Nil if the caller chose the port, which then is not reserved while the relay refuses.
    private let reservation: PortReservation?
    private let shared = Locked(Shared())
    private let wake: Int32
    private let loop: BackgroundLoop

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

    package var statistics: Statistics { shared.withLock { $0.statistics } }

    /// Changes the behaviour, for open and for later connections.
    package func behave(_ behaviour: RelayBehaviour) { send { $0.behaviour = behaviour } }

    /// Resets every open connection (RST) on both sides.
    package func resetAll() { send { $0.pending.append(.reset) } }

    /// Kills all open connections without closing them, as a firewall that lost its state does. New connections work.
    package func forgetAll() { send { $0.pending.append(.forget) } }

    /// Closes every open connection towards the client, which reads the end and may continue to send.
    package func closeToClient() { send { $0.pending.append(.closeToClient) } }

    /// Closes every open connection towards the server, which reads the end and may continue to send.
    package func closeToServer() { send { $0.pending.append(.closeToServer) } }

    /// Closes all connections and the port. Returns after that.
    package func shutDown() async {
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
