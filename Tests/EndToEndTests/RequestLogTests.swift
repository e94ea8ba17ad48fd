import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("in its logs,", .serialized)
    struct RequestLogTests {
        private static func lines(_ service: Service, containing text: String) -> [Substring] {
            service.process.log.split(separator: "\n").filter { $0.contains(text) }
        }

        private static func request(_ line: String, id: String? = nil) -> String {
            "\(line) HTTP/1.1\r\nHost: a\r\n" + (id.map { "X-Request-Id: \($0)\r\n" } ?? "")
                + "Connection: close\r\n\r\n"
        }

        @Test("the log has a request's own id, or its new one")
        func ids() async throws {
            try await withService(
                ProbesTests.nowhere, arguments: ["--access-log", "all", "--log-format", "json", "--log-level", "debug"]
            ) { service async throws in
                let own = await HTTPProbe.raw(
                    Self.request("GET /ping?secret=hunter2", id: "from-outside-1"), port: service.port, limit: patience)
                #expect(own.contains("\r\nX-Request-Id: from-outside-1\r\n"))
                let made = await HTTPProbe.raw(Self.request("GET /"), port: service.port, limit: patience)
                let start = try #require(made.firstRange(of: "\r\nX-Request-Id: ")).upperBound
                let id = made[start...].prefix { $0 != "\r\n" }
                #expect(id.count == 15)
                let hostile = await HTTPProbe.raw(
                    Self.request("GET /", id: "a\"},{\"b"), port: service.port, limit: patience)
                #expect(!hostile.contains("},{"))

                let found = try await Deadline(in: patience).wait {
                    Self.lines(service, containing: #""request-id":"\#(id)""#).count == 1
                        && Self.lines(service, containing: #""request-id":"from-outside-1""#).count == 2
                }
                #expect(found, "\(service.process.log)")
                let ofPing = Self.lines(service, containing: "from-outside-1")
                #expect(ofPing.contains { $0.contains("/ping failed") && $0.contains("\"cause\":") })
                let access = try #require(ofPing.first { $0.contains(#""logger":"access""#) })
                for part in [
                    #""client":"127.0.0.1""#, #""method":"GET""#, #""path":"/ping""#, #""status":400"#,
                    #""duration-ms":"#,
                ] {
                    #expect(access.contains(part), "\(access)")
                }
                #expect(!service.process.log.contains("hunter2"))
                #expect(
                    service.process.log.split(separator: "\n").allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })
            }
        }

        @Test("the access log can omit probes, and has malformed requests")
        func scope() async throws {
            try await withService(ProbesTests.nowhere, arguments: ["--access-log", "without-health"]) {
                service async throws in
                for path in ["/livez", "/readyz", "/primary", "/replica", "/"] { _ = await service.get(path) }
                _ = await HTTPProbe.raw("nonsense\r\n\r\n", port: service.port, limit: patience)
                let isThere = try await Deadline(in: patience).wait {
                    Self.lines(service, containing: " request client=127.0.0.1 ").count == 2
                }
                #expect(isThere, "\(service.process.log)")
                #expect(Self.lines(service, containing: "method=GET path=/ status=200 bytes=").count == 1)
                #expect(Self.lines(service, containing: "method=- path=- status=400 bytes=").count == 1)
            }
        }

        @Test("an outage has one line at its begin and one at its end, with cause and duration")
        func outage() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL(), arguments: ["--log-format", "json"]) {
                    service async throws in
                    #expect(try await service.isGoodAgain())
                    try await sandbox.stop(.fast)
                    #expect(try await service.ping { $0.status == 400 } != nil)
                    try await sandbox.start()
                    #expect(try await service.isGoodAgain())
                    let isLogged = try await Deadline(in: patience).wait {
                        Self.lines(service, containing: "the database is back").count == 1
                    }
                    #expect(isLogged, "\(service.process.log)")
                    let down = Self.lines(service, containing: "the database is down")
                    #expect(down.count == 1)
                    #expect(down.first?.contains(#""cause":""#) ?? false)
                    let back = try #require(Self.lines(service, containing: "the database is back").first)
                    #expect(back.contains(#""down-for-ms":"#) && back.contains(#""cause":""#), "\(back)")
                }
            }
        }
    }
}
