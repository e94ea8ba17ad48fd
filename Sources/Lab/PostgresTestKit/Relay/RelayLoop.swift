import DispatchLoop
import Dispatch
import Glibc

/// What the relay's thread does: one `poll` over everything. A value, which that thread takes over when it starts.
struct RelayLoop: Sendable {
    /// One client, and the server's side of its connection.
    private struct Link {
        let client: Int32
        /// -1 when there is none: the door was silent.
        var server: Int32
        var toServer: RelayPipe
        var toClient: RelayPipe
        var isForgotten = false
        /// The client's end has come and been passed on, or the server's.
        var serverIsTold = false
        var clientIsTold = false
        var sentToClient = 0
        var clientHasGone = false
    }

    private let address: LoopbackAddress
    private let port: UInt16
    private let target: UInt16
    private let wake: Int32
    private let orders: Locked<FaultRelay.Orders>
    private var listener: Int32 = -1
    private var links: [Link] = []
    private var behaviour = RelayBehaviour.forwarding

    init(
        address: LoopbackAddress, port: UInt16, target: UInt16, wake: Int32, orders: Locked<FaultRelay.Orders>
    ) {
        self.address = address
        self.port = port
        self.target = target
        self.wake = wake
        self.orders = orders
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
        while obey() {
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
            // Descriptors without interest are left out, or a hang-up nobody wants to hear of would spin.
            for index in entries.indices where entries[index].events == 0 { entries[index].fd = -1 }
            let timeout = due.map { Int32(max(1, ($0 - now).milliseconds.rounded(.up))) } ?? -1
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
        let waiting = orders.withLock { orders in
            orders.statistics.open = 0
            orders.hasEnded = true
            return orders.waiting
        }
        for semaphore in waiting { semaphore.signal() }
    }

    // MARK: Orders

    /// Takes over what was ordered. False when it is time to end.
    private mutating func obey() -> Bool {
        let (behaviour, pending, waiting, isClosed) = orders.withLock { orders in
            defer {
                orders.pending = []
                orders.waiting = []
            }
            return (orders.behaviour, orders.pending, orders.waiting, orders.isClosed)
        }
        defer {
            for semaphore in waiting { semaphore.signal() }
        }
        // Whoever connected before the order is treated as before it, although not accepted yet.
        if !waiting.isEmpty, listener >= 0 { acceptAll() }
        self.behaviour = behaviour
        if behaviour.door == .refusing {
            stopListening()
        } else if listener < 0, !listen() {
            stopListening()
        }
        for order in pending {
            switch order {
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
        // A client that has gone is no longer open, although its dead other half may be.
        let open = links.count { !$0.clientHasGone }
        orders.withLock { orders in
            orders.statistics.open = open
            orders.statistics.peak = max(orders.statistics.peak, open)
        }
    }

    private func drainWake() {
        var bytes = [UInt8](repeating: 0, count: 256)
        var count = recv(wake, &bytes, bytes.count, 0)
        while count > 0 { count = recv(wake, &bytes, bytes.count, 0) }
        // The owner has gone without shutting down.
        if count == 0 { orders.withLock { $0.isClosed = true } }
    }

    /// Shut down before closed: a helper process that is just being started by another thread may hold
    /// copies of our descriptors for a moment, and must not keep the port open by that.
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
            let number = orders.withLock { orders in
                orders.statistics.accepted += 1
                return UInt64(orders.statistics.accepted)
            }
            var link = Link(
                client: client, server: -1, toServer: RelayPipe(seed: 2 * number),
                toClient: RelayPipe(seed: 2 * number + 1))
            if behaviour.door == .open {
                // Blocking is fine: the target is on this machine, and answers or refuses at once.
                link.server = socket(AF_INET, Self.socketType & ~Int32(SOCK_NONBLOCK.rawValue), 0)
                guard LoopbackAddress.with(target, { connect(link.server, $0, $1) == 0 }) else {
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
            // After the server's end, the client's is only an answer to it.
            if !links[index].clientIsTold, !links[index].isForgotten {
                orders.withLock { $0.statistics.closedByClient += 1 }
            }
        }
        if links[index].server >= 0 {
            _ = Self.fill(&links[index].toClient, from: links[index].server, now, toClient)
            _ = Self.empty(&links[index].toServer, into: links[index].server, now, toServer)
        }
        let allowed = behaviour.resetAfter.map { max(0, $0 - links[index].sentToClient) } ?? .max
        links[index].sentToClient += Self.empty(
            &links[index].toClient, into: links[index].client, now, toClient, limit: allowed)
        if links[index].toServer.mayEnd(toServer), !links[index].serverIsTold {
            shutdown(links[index].server, Int32(SHUT_WR))
            links[index].serverIsTold = true
        }
        if links[index].toClient.mayEnd(toClient), !links[index].clientIsTold {
            shutdown(links[index].client, Int32(SHUT_WR))
            links[index].clientIsTold = true
        }
    }

    /// Reads what there is. True when the sender's end was seen now.
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

    /// Writes what may go out. How many bytes did.
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
                // A receiver that is gone swallows the rest; the reading side sees its end.
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
            // A silent door's client has gone; or both sides know of both ends. The server's half of a
            // forgotten connection stays, as a server's does that never hears of the end.
            let isOver = (link.server < 0 && link.clientHasGone) || (link.serverIsTold && link.clientIsTold)
            // Whoever closed a socket whole will not read on: telling it takes no second end.
            let isAbandoned = link.serverIsTold && link.toClient.hasEnded || link.clientIsTold && link.clientHasGone
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

    /// Dissolving the association sends RST, whoever else holds a copy of the descriptor.
    private static func reset(_ link: Link) {
        for descriptor in [link.client, link.server] where descriptor >= 0 {
            var nowhere = sockaddr(sa_family: sa_family_t(AF_UNSPEC), sa_data: sockaddr().sa_data)
            connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
            close(descriptor)
        }
    }
}
