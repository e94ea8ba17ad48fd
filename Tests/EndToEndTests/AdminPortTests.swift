import PostgresTestKit
import Testing

extension Service {
    /// Waits for the admin port to appear in the log.
    func adminPort() async throws -> UInt16 {
        var port: UInt16?
        try await eventually("the admin port is in the log") {
            port =
                process.log.split(separator: "\n").lazy.filter { $0.hasSuffix(" (admin)") }
                .compactMap { $0.dropLast(" (admin)".count).split(separator: ":").last.flatMap { UInt16($0) } }
                .first
            return port != nil
        }
        return try #require(port)
    }
}

extension EndToEnd {
    @Suite("with an admin port,", .serialized)
    struct AdminPortTests {
        @Test("both ports serve health checks, and only the main port serves clients")
        func twoPorts() async throws {
            try await withService("postgres://admin@127.0.0.1:1/mydb", arguments: ["--admin-port", "0"]) { service in
                let admin = try await service.adminPort()
                for path in ["/livez", "/readyz"] {
                    #expect(await service.get(path).status == 200)
                    #expect(await HTTPProbe.get(path, port: admin, limit: patience).status == 200)
                }
                #expect(await HTTPProbe.get("/ping", port: admin, limit: patience).status == 404)
                #expect(await service.get("/ping").status == 400)
            }
        }
    }
}
