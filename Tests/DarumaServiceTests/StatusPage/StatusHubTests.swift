import DispatchHTTP
import DispatchLoop
import DispatchPostgres
import FaultLab
import HTTP1
import HTTPTypes
import PostgresSession
import PostgresTestKit
import Testing

@testable import DarumaService

/// `/status` and `/events` over sockets, with a pool that has no database.
@LoopActor
@Suite(.timeLimit(.minutes(2))) struct StatusHubTests {
    /// A server with only the status page.
    @LoopActor
    private struct Fixture {
        let pool: PostgresPool
        let hub: StatusHub
        let server: HTTPServer
        let port: UInt16

        init(viewerLimit: Int = 500, _ change: (inout ServerConfiguration) -> Void = { _ in }) throws {
            let events = PoolEventFanOut()
            pool = PostgresPool(
                ConnectionConfiguration("postgres://admin:hunter2@127.0.0.1:1/mydb"), observers: [events])
            hub = StatusHub(pool: pool, viewerLimit: viewerLimit)
            events.add(hub)
            var router = Router()
            hub.add(to: &router)
            var configuration = ServerConfiguration(host: "127.0.0.1", port: 0)
            change(&configuration)
            server = HTTPServer(configuration: configuration, responder: router, observers: [hub])
            port = try server.start()[0].port
            pool.start()
        }

        /// Connects viewers, off the loop.
        func viewers(_ count: Int) async throws -> EventViewers {
            let port = port
            let viewers = try await offCooperativeThreads {
                Result { try EventViewers(count: count, port: port, deadline: Deadline(in: .seconds(20))) }
            }.get()
            try await eventually("\(count) more viewers") { hub.viewerCount >= count }
            return viewers
        }

        func close() async {
            _ = await server.drain(deadline: .now() + .seconds(5))
            await pool.close(deadline: .now() + .seconds(5))
        }
    }

    @Test("a viewer gets a snapshot, then the changes")
    func events() async throws {
        let fixture = try Fixture()
        let viewers = try await fixture.viewers(1)
        let all = await viewers.see {
            $0[0].events >= 3 && $0[0].messages.contains { $0.contains(#""health":"down""#) }
        }
        #expect(all[0].status == 200)
        let messages = all[0].messages
        #expect(messages[0].hasPrefix("retry: 1000\nevent: snapshot\ndata: {\"boot\":"))
        #expect(messages.dropFirst().allSatisfy { $0.hasPrefix("event: tick\ndata: {\"now\":") })
        let head = String(decoding: all[0].bytes.prefix(400), as: UTF8.self)
        #expect(head.contains("Content-Type: text/event-stream\r\n"))
        #expect(!messages.joined().contains("hunter2"))
        #expect(!messages.joined().contains("127.0.0.1"))
        await fixture.close()
    }

    @Test("many viewers get the same bytes, encoded once")
    func manyViewers() async throws {
        let fixture = try Fixture()
        let count = 50
        let first = try await fixture.viewers(1)
        let others = try await fixture.viewers(count)
        let before = fixture.hub.encodings
        // With one encoding per viewer, five events would take 250.
        let seen = await others.see { $0.allSatisfy { $0.events >= 6 } }
        #expect(fixture.hub.encodings - before < count)
        let latest = seen.compactMap { $0.messages.last }
        let one = await first.see { viewers in latest.allSatisfy { viewers[0].messages.contains($0) } }
        let ticks = Set(one[0].messages)
        for viewer in seen { #expect(viewer.messages.dropFirst().allSatisfy(ticks.contains)) }
        await fixture.close()
    }

    @Test("there is a timer only while there are viewers")
    func timer() async throws {
        let fixture = try Fixture()
        #expect(!fixture.hub.hasTimer)
        var viewers: EventViewers? = try await fixture.viewers(2)
        _ = await viewers?.see { $0.allSatisfy { $0.events >= 2 } }
        #expect(fixture.hub.hasTimer)
        viewers = nil
        try await eventually("no viewer is left") { fixture.hub.viewerCount == 0 }
        #expect(!fixture.hub.hasTimer)
        await fixture.close()
    }

    @Test("a viewer beyond the limit gets 503 with Retry-After")
    func limit() async throws {
        let fixture = try Fixture(viewerLimit: 2)
        let viewers = try await fixture.viewers(2)
        _ = await viewers.see { $0.allSatisfy { $0.events >= 1 } }
        var router = Router()
        fixture.hub.add(to: &router)
        let refused = await router.respond(to: try RequestHead(.get, "/events")).response()
        #expect(refused.status == .serviceUnavailable)
        #expect(refused.fields[.retryAfter] != nil)
        #expect(fixture.hub.viewerCount == 2)
        await fixture.close()
    }

    @Test("a viewer that does not read is dropped, and the others continue")
    func unread() async throws {
        let fixture = try Fixture()
        let silent = try await fixture.viewers(1)
        let reading = try await fixture.viewers(1)
        try await eventually("both are viewers") { fixture.hub.viewerCount == 2 }
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20) + Array("\n\n".utf8)
        var sent = 0
        for _ in 0..<64 where fixture.hub.viewerCount == 2 {
            fixture.hub.broadcast(piece)
            sent += piece.count
            // Waits for the reading viewer, so that it never falls behind.
            _ = await reading.see { [sent] in $0[0].byteCount >= sent }
        }
        #expect(fixture.hub.viewerCount == 1)
        let before = await reading.see { _ in true }
        let after = await reading.see { $0[0].events > before[0].events }
        #expect(!after[0].hasEnded)
        _ = silent
        await fixture.close()
    }

    @Test("a drain ends the streams completely")
    func drain() async throws {
        let fixture = try Fixture()
        let viewers = try await fixture.viewers(5)
        _ = await viewers.see { $0.allSatisfy { $0.events >= 1 } }
        let report = await fixture.server.drain(deadline: .now() + .seconds(20))
        #expect(report.forced == 0)
        let all = await viewers.see { $0.allSatisfy(\.hasEnded) }
        for viewer in all { #expect(viewer.bytes.suffix(5) == Array("0\r\n\r\n".utf8)[...]) }
        try await eventually("no viewer is left") { fixture.hub.viewerCount == 0 }
        #expect(!fixture.hub.hasTimer)
        await fixture.pool.close(deadline: .now() + .seconds(5))
    }

    @Test("the page shows the current state, without secrets")
    func page() async throws {
        let fixture = try Fixture()
        try await eventually("down") { fixture.pool.snapshot.health == .down }
        let exchange = await HTTPProbe.get("/status", port: fixture.port, limit: .seconds(20))
        #expect(exchange.status == 200)
        #expect(exchange.body.contains("The database is down"))
        #expect(!exchange.body.contains("hunter2"))
        for path in ["/status.css", "/status.js"] {
            #expect(await HTTPProbe.get(path, port: fixture.port, limit: .seconds(20)).status == 200)
        }
        await fixture.close()
    }

    @Test("only pings are points in the timeline")
    func pings() async throws {
        let fixture = try Fixture()
        for path in ["/ping", "/status", "/ping"] {
            _ = await HTTPProbe.get(path, port: fixture.port, limit: .seconds(20))
        }
        // This server has no /ping, so each answer is a failure.
        #expect(fixture.hub.history.seconds().reduce(0) { $0 + $1.pings } == 2)
        #expect(fixture.hub.history.seconds().reduce(0) { $0 + $1.failures } == 2)
        await fixture.close()
    }
}

extension EventViewers.Viewer {
    /// The complete events without their chunks' framing, `event: …\ndata: …`.
    fileprivate var messages: [String] {
        String(decoding: bytes, as: UTF8.self).split(separator: "\r\n").filter { $0.hasSuffix("\n\n") }.map(String.init)
    }
}

extension EventViewers {
    /// Reads off the loop until `isDone`.
    fileprivate func see(_ isDone: @escaping @Sendable ([Viewer]) -> Bool) async -> [Viewer] {
        await offCooperativeThreads {
            #expect(self.watch(Deadline(in: .seconds(30)), until: isDone))
            return self.viewers
        }
    }
}
