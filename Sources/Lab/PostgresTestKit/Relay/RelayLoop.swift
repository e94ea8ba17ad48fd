import Dispatch
import DispatchLoop
import Glibc

/// The relay's thread: one `poll` over all sockets. A value, which the thread copies when it starts.
struct RelayLoop: Sendable {
    /// A client's connection and the relay's own to the server.
    private struct Link {
        let client: Int32
        /// -1 behind a silent door.
        var server: Int32
        var toServer: RelayPipe
        var toClient: RelayPipe
        var isForgotten = false
        /// Whether the relay has forwarded the client's end to the server, or the server's to the client.
        var isClosedToServer = false
        var isClosedToClient = false
        var sentToClient = 0
        var clientHasGone = false
    }

    private let address: IPv4Address
    private let port: UInt16
    private let target: UInt16
    private let wake: Int32
    private let shared: Locked<FaultRelay.Shared>
    private var listener: Int32 = -1
    private var links: [Link] = []
    private var behaviour = RelayBehaviour.forwarding

    init(
        address: IPv4Address, port: UInt16, target: UInt16, wake: Int32, shared: Locked<FaultRelay.Shared>
    ) {
        self.address = address
        self.port = port
        self.target = target
        self.wake = wake
        self.shared = shared
    }

    private static let socketType =
        Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)

    mutating func listen() -> Bool {
        listener = socket(AF_INET, Self.socketType, 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let isBound = address.with(port) { bind(listener, $0, $1) == 0 }
        return isBound && Glibc.listen(listener, 512) == 0
    }

    mutating func run() {
        while executeCommands() {
            var entries = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
            entries.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
            let now = ContinuousClock.now
            var due: ContinuousClock.Instant?
            for link in links {
                entries.append(pollfd(fd: link.client, events: events(link, client: true, now), revents: 0))
                entries.append(pollfd(fd: link.server, events: events(link, client: false, now), revents: 0))
                let dues = [
                    link.toServer.nextDue(flow(link, toServer: true)),
                    link.toClient.nextDue(flow(link, toServer: false)),
                ]
                for next in dues.compactMap({ $0 }) where next > now { due = min(due ?? next, next) }
            }
            // poll reports a hang-up even without events: leave such descriptors out, or the loop would spin.
            for index in entries.indices where entries[index].events == 0 { entries[index].fd = -1 }
            let timeout = due.map { Int32(max(1, ($0 - now).fractionalMilliseconds.rounded(.up))) } ?? -1
            guard poll(&entries, UInt(entries.count), timeout) >= 0 || errno == EINTR else { break }
            if entries[0].revents != 0 { drainWake() }
            for index in links.indices { move(index) }
            removeFinished()
            if entries[1].revents != 0 { acceptAll() }
            report()
        }
        for link in links { Self.closeBoth(link) }
        stopListening()
        close(wake)
        let waiting = shared.withLock { shared in
            shared.statistics.open = 0
            shared.hasEnded = true
            return shared.waiting
        }
        for semaphore in waiting { semaphore.signal() }
    }

    // MARK: Commands

    /// Executes the pending commands. False if the relay is to end.
    private mutating func executeCommands() -> Bool {
        let (behaviour, pending, waiting, isClosed) = shared.withLock { shared in
            defer {
                shared.pending = []
                shared.waiting = []
            }
            return (shared.behaviour, shared.pending, shared.waiting, shared.isClosed)
        }
        defer {
            for semaphore in waiting { semaphore.signal() }
        }
        // Connections in the backlog are older than the command, and get the earlier behaviour.
        if !waiting.isEmpty, listener >= 0 { acceptAll() }
        self.behaviour = behaviour
        if behaviour.door == .refusing {
            stopListening()
        } else if listener < 0, !listen() {
            stopListening()
        }
        for command in pending {
            switch command {
            case .reset:
                for link in links { Self.reset(link) }
                links = []
            case .forget:
                for index in links.indices { links[index].isForgotten = true }
            case .closeToClient:
                for link in links { shutdown(link.client, Int32(SHUT_WR)) }
            case .closeToServer:
                for link in links where link.server >= 0 { shutdown(link.server, Int32(SHUT_WR)) }
            }
        }
        return !isClosed
    }

    private func report() {
        // The server's half may outlive the client's; only clients count.
        let open = links.count { !$0.clientHasGone }
        shared.withLock { shared in
            shared.statistics.open = open
            shared.statistics.peak = max(shared.statistics.peak, open)
        }
    }

    private func drainWake() {
        var bytes = [UInt8](repeating: 0, count: 256)
        var count = recv(wake, &bytes, bytes.count, 0)
        while count > 0 { count = recv(wake, &bytes, bytes.count, 0) }
        // The owner was released without `shutDown`.
        if count == 0 { shared.withLock { $0.isClosed = true } }
    }

    /// Shuts down before closing: a process that another thread is starting may hold a copy of the descriptor for a
    /// moment, which must not keep the port open.
    private mutating func stopListening() {
        guard listener >= 0 else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        listener = -1
    }

    // MARK: Connections

    private mutating func acceptAll() {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { return }
            _ = fcntl(client, F_SETFL, O_NONBLOCK)
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            let number = shared.withLock { shared in
                shared.statistics.accepted += 1
                return UInt64(shared.statistics.accepted)
            }
            var link = Link(
                client: client, server: -1, toServer: RelayPipe(seed: 2 * number),
                toClient: RelayPipe(seed: 2 * number + 1))
            if behaviour.door == .open {
                // May block: the target is on this machine, and accepts or refuses at once.
                link.server = socket(AF_INET, Self.socketType & ~Int32(SOCK_NONBLOCK.rawValue), 0)
                guard IPv4Address.loopback.with(target, { connect(link.server, $0, $1) == 0 }) else {
                    Self.reset(link)
                    continue
                }
                _ = fcntl(link.server, F_SETFL, O_NONBLOCK)
            }
            for descriptor in [link.client, link.server] where descriptor >= 0 {
                var one: Int32 = 1
                setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            }
            links.append(link)
            // Its client may have closed another connection first, after that one was last read.
            for index in links.indices { move(index) }
            removeFinished()
            report()
        }
    }

    private func flow(_ link: Link, toServer: Bool) -> RelayBehaviour.Flow {
        if link.isForgotten || link.server < 0 { return .swallowing }
        return toServer ? behaviour.toServer : behaviour.toClient
    }

    private func events(_ link: Link, client: Bool, _ now: ContinuousClock.Instant) -> Int16 {
        let incoming = client ? link.toServer : link.toClient
        let outgoing = client ? link.toClient : link.toServer
        var events: Int16 = 0
        if (client ? link.client : link.server) < 0 { return 0 }
        if incoming.accepts(flow(link, toServer: client)) { events |= Int16(POLLIN) }
        if !outgoing.ready(at: now, flow(link, toServer: !client)).isEmpty { events |= Int16(POLLOUT) }
        return events
    }

    private mutating func move(_ index: Int) {
        let now = ContinuousClock.now
        let toServer = flow(links[index], toServer: true)
        let toClient = flow(links[index], toServer: false)
        if Self.fill(&links[index].toServer, from: links[index].client, now, toServer) {
            links[index].clientHasGone = true
            // After the server's end, the client's is only its reaction.
            if !links[index].isClosedToClient, !links[index].isForgotten {
                shared.withLock { $0.statistics.closedByClient += 1 }
            }
        }
        if links[index].server >= 0 {
            _ = Self.fill(&links[index].toClient, from: links[index].server, now, toClient)
            _ = Self.empty(&links[index].toServer, into: links[index].server, now, toServer)
        }
        let allowed = behaviour.resetAfter.map { max(0, $0 - links[index].sentToClient) } ?? .max
        links[index].sentToClient += Self.empty(
            &links[index].toClient, into: links[index].client, now, toClient, limit: allowed)
        if links[index].toServer.mayEnd(toServer), !links[index].isClosedToServer {
            shutdown(links[index].server, Int32(SHUT_WR))
            links[index].isClosedToServer = true
        }
        if links[index].toClient.mayEnd(toClient), !links[index].isClosedToClient {
            shutdown(links[index].client, Int32(SHUT_WR))
            links[index].isClosedToClient = true
        }
    }

    /// Reads all available bytes. True if the sender's end arrived.
    private static func fill(
        _ pipe: inout RelayPipe, from descriptor: Int32, _ now: ContinuousClock.Instant, _ flow: RelayBehaviour.Flow
    ) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while pipe.accepts(flow) {
            let count = recv(descriptor, &bytes, bytes.count, 0)
            if count > 0 {
                pipe.take(Array(bytes[..<count]), at: now, flow)
            } else if count < 0 && (errno == EAGAIN || errno == EINTR) {
                return false
            } else {
                pipe.end()
                return true
            }
        }
        return false
    }

    /// Writes the ready bytes. Returns how many.
    private static func empty(
        _ pipe: inout RelayPipe, into descriptor: Int32, _ now: ContinuousClock.Instant, _ flow: RelayBehaviour.Flow,
        limit: Int = .max
    ) -> Int {
        var total = 0
        while true {
            let ready = pipe.ready(at: now, flow).prefix(limit - total)
            guard !ready.isEmpty else { return total }
            let count = ready.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else {
                // A closed receiver takes no more bytes: discard them. The reading side sees its end.
                if count < 0 && errno != EAGAIN && errno != EINTR { pipe.sent(ready.count, at: now, flow) }
                return total
            }
            pipe.sent(count, at: now, flow)
            total += count
        }
    }

    private mutating func removeFinished() {
        let resetAfter = behaviour.resetAfter
        links.removeAll { link in
            if let limit = resetAfter, link.sentToClient >= limit {
                Self.reset(link)
                return true
            }
            // Over: the client behind a silent door has closed, or both ends were forwarded. The server's half of a
            // forgotten connection stays, as with a server that never learns of the end.
            let isOver = (link.server < 0 && link.clientHasGone) || (link.isClosedToServer && link.isClosedToClient)
            // Abandoned: a peer that has closed its socket completely reads no end.
            let isAbandoned =
                link.isClosedToServer && link.toClient.hasEnded || link.isClosedToClient && link.clientHasGone
            if isOver || isAbandoned { Self.closeBoth(link) }
            return isOver || isAbandoned
        }
    }

    private static func closeBoth(_ link: Link) {
        for descriptor in [link.client, link.server] where descriptor >= 0 {
            shutdown(descriptor, Int32(SHUT_RDWR))
            close(descriptor)
        }
    }

    /// Connecting to AF_UNSPEC sends RST, even while another process holds a copy of the descriptor.
    private static func reset(_ link: Link) {
        for descriptor in [link.client, link.server] where descriptor >= 0 {
            var nowhere = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: sockaddr().sa_data)
            connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
            close(descriptor)
        }
    }
}
