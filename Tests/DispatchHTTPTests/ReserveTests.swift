import DispatchHTTP
import DispatchLoop
import HTTP1
import Testing

@Suite("reserved places", .timeLimit(.minutes(1)))
struct ReserveTests {
    static let health = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Clients whose held requests occupy the general places.
    static func crowd(_ server: TestServer, _ count: Int) async throws -> [TestClient] {
        let port = server.port
        let clients = try await offLoop {
            try (0..<count).map { number in
                let client = try TestClient(port: port)
                try client.send("GET /held?\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                return client
            }
        }
        await server.gate.arrivals(count)
        return clients
    }

    @Test("on a reserved place health checks get 200, other requests 503, and both connections close")
    func reserve() async throws {
        try await withServer({
            $0.maxConnections = 2
            $0.reservedConnections = 1
        }) { server in
            let port = server.port
            let crowd = try await Self.crowd(server, 2)
            let (health, other, head) = try await offLoop {
                try [Self.health + Self.health, ConversationTests.get, "HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n"]
                    .map { request in
                        let client = try TestClient(port: port)
                        try client.send(request)
                        let reply = try client.reply(toHead: request.hasPrefix("HEAD"))
                        let isEnded = try client.isEnded()
                        #expect(isEnded)
                        #expect(reply.fields["connection"] == "close")
                        return reply
                    }
                    .asTriple
            }
            #expect(health.status == 200)
            #expect(health.body == "well")
            #expect(other.status == 503)
            #expect(other.fields["retry-after"] == "1")
            #expect(other.body.contains("All connections are in use"))
            #expect(head.status == 503)
            #expect(await server.events.closes(3) == [.answered, .overloaded, .overloaded])
            #expect(await server.events.statuses == [200, 503, 503])
            await server.gate.open()
            let bodies = try await offLoop { try crowd.map { try $0.reply().body } }
            #expect(bodies == ["held 0", "held 1"])
            // General places are free again.
            try await offLoop {
                let client = try TestClient(port: port)
                try client.send(ConversationTests.get)
                let reply = try client.reply()
                #expect(reply.status == 200)
                #expect(reply.fields["connection"] == nil)
            }
        }
    }

    @Test("a connection on a reserved place moves to a free general place with its next request")
    func promoted() async throws {
        try await withServer({
            $0.maxConnections = 1
            $0.reservedConnections = 1
        }) { server in
            let port = server.port
            let crowd = try await Self.crowd(server, 1)
            let client = try await offLoop { try TestClient(port: port) }
            await server.events.until { $0.opened == 2 }
            #expect(await server.server.reservedCount == 1)
            crowd[0].reset()
            #expect(await server.events.closes(1) == [.reset])
            try await offLoop {
                for _ in 0..<2 {
                    try client.send(ConversationTests.get)
                    let reply = try client.reply()
                    #expect(reply.status == 200)
                }
            }
            #expect(await server.server.reservedCount == 0)
            #expect(await server.server.connectionCount == 1)
        }
    }

    @Test("silent connections on reserved places are evicted for health checks")
    func silentOnReserve() async throws {
        try await withServer({
            $0.maxConnections = 1
            $0.reservedConnections = 2
            $0.timeouts.reserved = .milliseconds(100)
        }) { server in
            let port = server.port
            let crowd = try await Self.crowd(server, 1)
            let (silent, bodies) = try await offLoop {
                // Half of them send part of a header, the others nothing.
                let silent = try (0..<20).map { number in
                    let client = try TestClient(port: port)
                    if number % 2 == 0 { try client.send("GET / HT") }
                    return client
                }
                let bodies = try (0..<5).map { _ in
                    let client = try TestClient(port: port)
                    try client.send(Self.health)
                    return try client.reply().body
                }
                return (silent, bodies)
            }
            #expect(bodies == Array(repeating: "well", count: 5))
            let reasons = await server.events.closes(25)
            #expect(reasons.count { $0 == .answered } == 5)
            #expect(Set(reasons).isSubset(of: [.answered, .evicted, .idleTimeout, .headTimeout]))
            #expect(await server.server.connectionCount == 1)
            _ = (crowd, silent)
        }
    }

    @Test("without idle connections the one longest within a header is evicted")
    func evictsHeads() async throws {
        try await withServer({ $0.maxConnections = 3 }) { server in
            let port = server.port
            let busy = try await Self.crowd(server, 1)
            let slow = try await offLoop { try [TestClient(port: port), TestClient(port: port)] }
            await server.events.until { $0.opened == 3 }
            try await Self.drip(slow[1], server, atHead: 1)
            try await Self.drip(slow[0], server, atHead: 2)
            // Further bytes do not change a connection's position in the queue.
            try await offLoop { try slow[1].send("x") }
            let newcomer = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(ConversationTests.get)
                _ = try client.reply()
                return client
            }
            #expect(try await offLoop { try slow[1].isEnded() })
            #expect(await server.events.closes == [.evicted])
            try await offLoop {
                try slow[0].send("TP/1.1\r\nHost: a\r\n\r\n")
                let reply = try slow[0].reply()
                #expect(reply.body == "hello")
            }
            _ = (busy, newcomer)
        }
    }

    private static func drip(_ client: TestClient, _ server: TestServer, atHead count: Int) async throws {
        try await offLoop { try client.send("GET / HT") }
        while await server.server.headCount < count { await Task.yield() }
    }

    @Test("a connection with an unread request is not evicted")
    func sparesUnread() async throws {
        try await withServer({ $0.maxConnections = 2 }) { server in
            let port = server.port
            let clients = try await offLoop {
                try (0..<2).map { _ in
                    let client = try TestClient(port: port)
                    try client.send(ConversationTests.get)
                    _ = try client.reply()
                    return client
                }
            }
            // While the loop is blocked, a new client connects, and then the oldest one sends. The loop sees them in
            // this order.
            let newcomer = try await Self.connect(port, thenSend: clients[0])
            let (bodies, isEnded) = try await offLoop {
                (try [clients[0], newcomer].map { try $0.reply().body }, try clients[1].isEnded())
            }
            #expect(bodies == ["hello", "hello"])
            #expect(isEnded)
            #expect(await server.events.closes == [.evicted])
        }
    }

    @LoopActor
    private static func connect(_ port: UInt16, thenSend oldest: TestClient) throws -> TestClient {
        let newcomer = try TestClient(port: port)
        try newcomer.send(ConversationTests.get)
        try oldest.send(ConversationTests.get)
        return newcomer
    }

    @Test("a client that pipelines without end does not delay others, and a drain ends it in order")
    func turns() async throws {
        try await withServer({ $0.requestsPerTurn = 4 }) { server in
            let port = server.port
            let (many, one) = try await Self.sendTogether(port)
            try await offLoop { _ = try one.reply() }
            let position = try #require(await server.events.exchanges.firstIndex { $0.request.query == "one" })
            #expect(position < 100)
            async let report = server.server.drain(deadline: EventLoop.shared.now + .seconds(30))
            try await offLoop {
                var number = 0
                while number < 1000 {
                    let reply = try many.reply()
                    #expect(reply.body == "\(number)")
                    number += 1
                    if reply.fields["connection"] == "close" { break }
                }
                let isEnded = number < 1000 ? try many.isEnded() : true
                #expect(isEnded, "bytes followed the last response")
                many.close()
            }
            #expect(await report.forced == 0)
        }
    }

    @LoopActor
    private static func sendTogether(_ port: UInt16) throws -> (TestClient, TestClient) {
        let (many, one) = (try TestClient(port: port), try TestClient(port: port))
        let requests = (0..<1000).map { "GET /query?\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }
        try many.send(requests.joined())
        try one.send("GET /query?one HTTP/1.1\r\nHost: a\r\n\r\n")
        return (many, one)
    }
}

extension [TestClient.Reply] {
    fileprivate var asTriple: (TestClient.Reply, TestClient.Reply, TestClient.Reply) { (self[0], self[1], self[2]) }
}
