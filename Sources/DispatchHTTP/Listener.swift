internal import CLinux
internal import DispatchLoop
internal import Glibc

/// One listening socket: where the server can be reached, as long as it accepts.
@LoopActor
final class Listener {
    let descriptor: Int32
    let address: SocketAddress
    var registration: Registration?

    init(descriptor: Int32, address: SocketAddress) {
        self.descriptor = descriptor
        self.address = address.withBoundPort(of: descriptor)
    }

    /// Takes over sockets that others have opened; all of them or none.
    static func adopt(_ descriptors: [Int32]) throws(ListenError) -> [Listener] {
        var listeners: [Listener] = []
        for descriptor in descriptors {
            let address = try Socket.adoptListening(descriptor)
            listeners.append(Listener(descriptor: descriptor, address: address))
        }
        return listeners
    }

    func close(_ loop: EventLoop) {
        if let registration { loop.deregister(registration) }
        registration = nil
        Socket.close(descriptor)
    }

    /// Listens on everything that `configuration.host` stands for, or on nothing.
    static func open(_ configuration: ServerConfiguration) throws(ListenError) -> [Listener] {
        let port = configuration.port
        switch configuration.host {
        case "", "*": return try openBoth(configuration) { SocketAddress.any($0, port: $1) }
        case "localhost": return try openBoth(configuration) { SocketAddress.loopback($0, port: $1) }
        default:
            guard let address = SocketAddress(configuration.host, port: port) else {
                throw ListenError(notAnAddress: configuration.host)
            }
            return [try open(address, configuration)]
        }
    }

    private static func open(
        _ address: SocketAddress, _ configuration: ServerConfiguration
    ) throws(ListenError) -> Listener {
        Listener(
            descriptor: try Socket.listen(
                on: address, backlog: configuration.backlog, reusePort: configuration.reusePort),
            address: address)
    }

    /// Both families on one port. A machine without one of them is served with the other.
    private static func openBoth(
        _ configuration: ServerConfiguration, _ address: (SocketAddress.Family, UInt16) -> SocketAddress
    ) throws(ListenError) -> [Listener] {
        // With port 0 the kernel chooses for IPv4, and the same number may be taken for IPv6: then another is tried.
        var attempts = configuration.port == 0 ? 16 : 1
        while true {
            attempts -= 1
            let first: Listener
            do throws(ListenError) {
                first = try open(address(.ipv4, configuration.port), configuration)
            } catch {
                guard isFamilyAbsent(error) else { throw error }
                return [try open(address(.ipv6, configuration.port), configuration)]
            }
            do throws(ListenError) {
                return [first, try open(address(.ipv6, first.address.port), configuration)]
            } catch {
                if isFamilyAbsent(error) { return [first] }
                Socket.close(first.descriptor)
                guard error.errno == EADDRINUSE, attempts > 0 else { throw error }
            }
        }
    }

    private static func isFamilyAbsent(_ error: ListenError) -> Bool {
        error.errno == EAFNOSUPPORT || error.errno == EADDRNOTAVAIL
    }
}
