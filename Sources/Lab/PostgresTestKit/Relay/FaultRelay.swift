import DispatchLoop
import Dispatch
import Glibc

/// A TCP relay between a service and its database that can be told to misbehave: to refuse, to be
/// silent, to stall, delay, throttle, tear and reset, and to forget connections as a firewall does.
///
/// It listens on a port of its own on the loopback address, which stays the same while it refuses.
package final class FaultRelay: Sendable {
    /// What has been counted.
    package struct Statistics: Sendable, Equatable {
        /// Connections accepted since the beginning.
        package internal(set) var accepted = 0
        /// Connections open on the client's side now, and at most at any one time.
        package internal(set) var open = 0
        package internal(set) var peak = 0
        /// Connections that the client ended, and not the server or the relay, since the beginning.
        package internal(set) var closedByClient = 0
    }

    /// What others tell the relay's thread.
    struct Orders {
        var behaviour = RelayBehaviour.forwarding
        /// To be done once.
        var pending: [Order] = []
        var statistics = Statistics()
        var isClosed = false
        /// Those who wait until their orders are in force.
        var waiting: [DispatchSemaphore] = []
        var hasEnded = false
    }

    enum Order {
        case reset
        case forget
        case closeToClient
        case closeToServer
    }

    package let port: UInt16
    /// Nil when the port was given: nobody keeps it while the relay refuses.
    private let reservation: PortReservation?
    private let orders = Locked(Orders())
    private let wake: Int32
    private let done = DispatchSemaphore(value: 0)

    /// A relay to a port of the loopback address. It listens on a free port, or on the one that is named,
    /// and on 127.0.0.1 if no other address is.
    package init(to target: UInt16, on address: LoopbackAddress = .standard, port wanted: UInt16? = nil) throws {
        let reservation = wanted == nil ? try PortReservation() : nil
        self.reservation = reservation
        let port = wanted ?? reservation?.port ?? 0
        self.port = port
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw SandboxError(.service, "cannot make a relay: \(String(cString: strerror(errno)))")
        }
        wake = ends[0]
        var loop = RelayLoop(address: address, port: port, target: target, wake: ends[1], orders: orders)
        guard loop.listen() else {
            close(ends[0])
            throw SandboxError(.service, "the relay cannot listen on \(port): \(String(cString: strerror(errno)))")
        }
        DispatchQueue(label: "relay \(port)").async { [done, loop] in
            var loop = loop
            loop.run()
            done.signal()
        }
    }

    deinit {
        // The loop ends when its end of the pair sees the hang-up.
        orders.withLock { $0.isClosed = true }
        close(wake)
    }

    package var statistics: Statistics { orders.withLock { $0.statistics } }

    /// From now on, for connections that are open and those to come.
    package func behave(_ behaviour: RelayBehaviour) { order { $0.behaviour = behaviour } }

    /// Resets every open connection (RST), on both sides.
    package func resetAll() { order { $0.pending.append(.reset) } }

    /// What is open now stays open and dead for good, unknown to both sides, as behind a firewall that
    /// lost its state; new connections work.
    package func forgetAll() { order { $0.pending.append(.forget) } }

    /// Closes one half of every open connection: the client reads the end, and may go on sending.
    package func closeToClient() { order { $0.pending.append(.closeToClient) } }

    /// Closes the other half: the server reads the end, and may go on sending.
    package func closeToServer() { order { $0.pending.append(.closeToServer) } }

    /// Closes all connections and the port. Returns when it is done.
    package func shutDown() async {
        order { $0.isClosed = true }
        let done = self.done
        await offCooperativeThreads {
            done.wait()
            done.signal()  // for whoever asks again
        }
    }

    /// Returns when the order is in force, which takes one turn of the loop.
    private func order(_ change: (inout Orders) -> Void) {
        let isInForce = DispatchSemaphore(value: 0)
        let hasEnded = orders.withLock { orders in
            change(&orders)
            if !orders.hasEnded { orders.waiting.append(isInForce) }
            return orders.hasEnded
        }
        if hasEnded { return }
        var byte: UInt8 = 0
        // A full socket means that the loop has been woken already.
        _ = Glibc.send(wake, &byte, 1, Int32(MSG_NOSIGNAL))
        isInForce.wait()
    }
}
