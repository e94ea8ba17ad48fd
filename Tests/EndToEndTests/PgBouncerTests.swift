import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    /// Debian's PgBouncer 1.18 does not support prepared statements in transaction mode: state that the pool kept in a
    /// session would be lost, or appear in another client's session.
    ///
    /// One pass suffices: sanitizers find nothing in another program.
    @Suite("through PgBouncer in transaction mode,", .serialized, .enabled(if: !isUnderSanitizer))
    struct PgBouncerTests {
        @Test("many connections share two sessions that are replaced, and no /ping fails")
        func sharedSessions() async throws {
            try await withPgBouncer { sandbox, bouncer in
                try await withService(bouncer.connectionURL(), arguments: ["--pool-max=8"]) { service in
                    #expect(try await service.isGoodAgain())
                    for round in 1...4 {
                        async let bad = service.badPings(clients: 16, each: 50)
                        // Replaces the server's sessions during the load, gracefully and by force.
                        if round.isMultiple(of: 2) {
                            try await bouncer.console("RECONNECT")
                        } else {
                            // Spares sessions that have run nothing: PgBouncer may not consider their login complete,
                            // and would then refuse all clients for `server_login_retry`.
                            try await sandbox.execute(
                                """
                                select count(pg_terminate_backend(pid)) from pg_stat_activity
                                where state = 'idle' and query <> '' and pid <> pg_backend_pid()
                                """)
                        }
                        let failed = await bad
                        #expect(failed == [])
                        #expect(try await sandbox.sessionCount() <= 2)
                    }
                }
            }
        }

        @Test("a stopped server behind it is reported as down at once, and the service recovers")
        func outageBehind() async throws {
            try await withPgBouncer { sandbox, bouncer in
                try await withService(bouncer.connectionURL()) { service in
                    #expect(try await service.isGoodAgain())
                    for _ in 1...2 {
                        try await sandbox.stop()
                        let down = try await service.ping { $0.body.contains("\"state\": \"down\"") }
                        #expect(down?.status == 400)
                        // PgBouncer accepts every login, so a login is no proof that the server is up.
                        let next = await service.get("/ping")
                        #expect(next.body.contains("\"state\": \"down\""), "\(next.body)")
                        let named = try await service.ping { $0.errorCode == "08P01" }
                        #expect(named?.body.contains("server_login_retry") == true, "\(named?.body ?? "")")
                        #expect(await service.get("/").isGood)
                        try await sandbox.start()
                        #expect(try await service.isGoodAgain())
                    }
                }
            }
        }

        @Test("a restart of the server behind it only delays requests")
        func restartBehind() async throws {
            try await withPgBouncer(["server_login_retry": "0.1"]) { sandbox, bouncer in
                // Long enough for a busy machine.
                let patient = ["--outage-grace=20s", "--ping-timeout=20s"]
                try await withService(bouncer.connectionURL(), arguments: patient) { service in
                    #expect(try await service.isGoodAgain())
                    async let bad = service.badPings(clients: 8, each: 200)
                    try await sandbox.restart()
                    #expect(await bad == [])
                    #expect(await service.badPings(clients: 8, each: 10) == [])
                }
            }
        }

        @Test("it can be killed and restarted")
        func killed() async throws {
            try await withPgBouncer { sandbox, bouncer in
                try await withService(bouncer.connectionURL()) { service in
                    #expect(try await service.isGoodAgain())
                    try await bouncer.kill()
                    #expect(try await service.ping { $0.errorCode == "ECONNREFUSED" } != nil)
                    try await bouncer.start()
                    #expect(try await service.isGoodAgain())
                    #expect(await service.badPings(clients: 4, each: 50) == [])
                }
            }
        }

        @Test("the service starts while the server behind it is down")
        func bootWithoutServer() async throws {
            let sandbox = try await PostgresSandbox.make()
            let bouncer = try PgBouncer(for: sandbox)
            try await bouncer.start()
            try await withService(bouncer.connectionURL()) { service in
                #expect(await service.get("/").isGood)
                #expect(try await service.ping { $0.body.contains("\"state\": \"down\"") } != nil)
                try await sandbox.start()
                #expect(try await service.isGoodAgain())
            }
            try await bouncer.kill()
            try await sandbox.remove()
        }

        @Test(
            "its permanent rejections are misconfigured",
            arguments: [
                "no such database", "authentication failed", "unsupported startup parameter",
            ])
        func refusals(_ words: String) async throws {
            try await withPgBouncer { sandbox, bouncer in
                let url =
                    switch words {
                    case "no such database": bouncer.connectionURL(database: "elsewhere")
                    case "authentication failed": bouncer.connectionURL(password: "someOther1")
                    default: bouncer.connectionURL(parameters: ["options": "-c statement_timeout=1000"])
                    }
                try await withService(url) { service in
                    let ping = try await service.ping { $0.body.contains("\"state\": \"misconfigured\"") }
                    #expect(ping?.body.contains(words) == true, "\(ping?.body ?? "") \(service.process.log)")
                }
            }
        }

        @Test("it can ignore startup parameters")
        func ignoredParameters() async throws {
            try await withPgBouncer(["ignore_startup_parameters": "options"]) { sandbox, bouncer in
                let url = bouncer.connectionURL(parameters: ["options": "-c statement_timeout=1000"])
                try await withService(url) { service async throws in #expect(try await service.isGoodAgain()) }
            }
        }
    }
}

private func withPgBouncer(
    _ settings: [String: String] = [:], _ body: (PostgresSandbox, PgBouncer) async throws -> Void
) async throws {
    try await PostgresSandbox.withSandbox { sandbox in
        let bouncer = try PgBouncer(for: sandbox, settings: settings)
        try await bouncer.start()
        do {
            try await body(sandbox, bouncer)
        } catch {
            Issue.record("PgBouncer's last words: \(bouncer.log.split(separator: "\n").suffix(12))")
            try? await bouncer.kill()
            throw error
        }
        try await bouncer.kill()
    }
}
