internal import CLinux
internal import DispatchLoop
internal import Glibc

/// One listening socket.
@LoopActor
final class Listener {
    let descriptor: Int32
    let address: SocketAddress
    var registration: Registration?

    init(descriptor: Int32, address: SocketAddress) {
        self.descriptor = descriptor
        self.address = address.withBoundPort(of: descriptor)
    }

    /// Adopts open sockets, all of them or none.
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

    /// Listens on all addresses of `configuration.host`, or on none.
    static func open(_ configuration: ServerConfiguration) throws(ListenError) -> [Listener] {
        let port = configuration.port
        let families = [SocketAddress.Family.ipv4, .ipv6]
        switch configuration.host {
        // `::` includes IPv4, as in Node and Go, with one socket per family.
        case "", "*", "::": return try openAll(families.map { .any($0, port: port) }, configuration)
        case "localhost": return try openAll(families.map { .loopback($0, port: port) }, configuration)
        default:
            if let address = SocketAddress(configuration.host, port: port) {
                return try openAll([address], configuration)
            }
            return try openAll(SocketAddress.lookUp(configuration.host, port: port), configuration)
        }
    }

    /// Listens on all addresses with one port. Skips addresses that the machine lacks, such as IPv6 ones on a machine
    /// without IPv6.
    private static func openAll(
        _ addresses: [SocketAddress], _ configuration: ServerConfiguration
    ) throws(ListenError) -> [Listener] {
        // With port 0 the kernel chooses a port for the first address. If that port is in use on another address, try
        // another port.
        var attempts = configuration.port == 0 && addresses.count > 1 ? 16 : 1
        while true {
            attempts -= 1
            var opened: [Listener] = []
            var failure: ListenError?
            for address in addresses {
                let address = address.withPort(opened.first?.address.port ?? configuration.port)
                do throws(ListenError) {
                    let descriptor = try Socket.listen(
                        on: address, backlog: configuration.backlog, reusePort: configuration.reusePort)
                    opened.append(Listener(descriptor: descriptor, address: address))
                } catch {
                    if failure == nil || !isAbsent(error) { failure = error }
                    if !isAbsent(error) { break }
                }
            }
            guard let failure, opened.isEmpty || !isAbsent(failure) else { return opened }
            for listener in opened { Socket.close(listener.descriptor) }
            guard failure.errno == EADDRINUSE, !opened.isEmpty, attempts > 0 else { throw failure }
        }
    }

    private static func isAbsent(_ error: ListenError) -> Bool {
        error.errno == EAFNOSUPPORT || error.errno == EADDRNOTAVAIL
    }
}
