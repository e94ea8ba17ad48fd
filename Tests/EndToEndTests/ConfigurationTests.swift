import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("when something is configured wrongly,", .serialized)
    struct ConfigurationTests {
        @Test("a wrong password is named, and mended at the database")
        func wrongPassword() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL(password: "someOther1")) { service in
                    #expect(try await service.ping { $0.errorCode == "28P01" }?.status == 400)
                    #expect(await service.get("/").isGood)
                    try await sandbox.execute("alter role admin password 'someOther1'")
                    #expect(try await service.isGoodAgain())
                    #expect(!service.process.log.contains("someOther1"))
                }
            }
        }

        @Test("a missing database is named, and mended by making it")
        func missingDatabase() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL(database: "not_yet")) { service in
                    #expect(try await service.ping { $0.errorCode == "3D000" }?.status == 400)
                    #expect(await service.get("/").isGood)
                    try await sandbox.execute("create database not_yet")
                    #expect(try await service.isGoodAgain())
                }
            }
        }

        @Test("a DATABASE_URL that cannot be read does not keep / from being served")
        func unreadableURL() async throws {
            try await withService("postgres://admin:P%4@@@[nonsense:port/") { service async throws in
                #expect(await service.get("/").isGood)
                let ping = await service.get("/ping")
                #expect(ping.status == 400)
                #expect(ping.errorCode != nil)
                #expect(!ping.body.contains("nonsense"), "the connection string is in the answer: \(ping.body)")
                let log = { service.process.log }
                #expect(
                    try await Deadline(in: patience).wait { log().contains("the database setting cannot be used") })
                #expect(log().contains("@ is %40"))
                #expect(log().split(separator: "\n").count { $0.contains(" error ") } == 1, "\(log())")
                #expect(!log().contains("nonsense"))
            }
        }

        @Test("a log-in that libpq refuses is a wrong setting, named, and not an outage")
        func refusedByLibPQ() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                let url = sandbox.connectionURL(parameters: ["channel_binding": "require"])
                try await withService(url) { service async throws in
                    let ping = try #require(try await service.ping { $0.errorCode == "28000" })
                    #expect(ping.body.contains("\"misconfigured\""), "\(ping.body)")
                    #expect(ping.body.contains("SSL not in use"), "\(ping.body)")
                    #expect(!service.process.log.contains("the database is down"), "\(service.process.log)")
                }
            }
        }

        @Test("a password file that others can read is told of once, and libpq writes nothing past the log")
        func openPasswordFile() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                let folder = try TemporaryFolder()
                let path = folder.path + "/pgpass"
                try Files.write("*:*:*:*:\(sandbox.configuration.password)\n", to: path)
                #expect(chmod(path, 0o644) == 0)
                let url = sandbox.connectionURL(password: "", parameters: ["passfile": path])
                try await withService(url) { service async throws in
                    #expect(try await service.ping { $0.errorCode == "28P01" } != nil)
                    let log = service.process.log
                    #expect(!log.contains("WARNING"), "\(log)")
                    #expect(
                        log.split(separator: "\n").count { $0.contains("password file") && $0.contains("0600") } == 1)
                    // Mended while it runs.
                    #expect(chmod(path, 0o600) == 0)
                    #expect(try await service.isGoodAgain())
                }
            }
        }

        @Test("a session in the clear is told of once, and only where TLS was wanted")
        func inTheClear() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                for (mode, count) in [("prefer", 1), ("disable", 0), ("allow", 0)] {
                    let url = sandbox.connectionURL(parameters: ["sslmode": mode])
                    try await withService(url, arguments: ["--pool-min", "3"]) { service async throws in
                        #expect(try await service.isGoodAgain())
                        #expect(await service.badPings(clients: 4, each: 20).isEmpty)
                        let lines = service.process.log.split(separator: "\n")
                        #expect(lines.count { $0.contains("not encrypted") } == count, "\(mode): \(lines)")
                    }
                }
            }
        }

        @Test(
            "--help and --version answer, and that is all",
            arguments: [
                (["--version"], "."), (["--help"], "Usage: daruma [command]"), (["serve", "-h"], "--pool-max <count>"),
                (["help", "healthcheck"], "--timeout <duration>"),
            ])
        func help(arguments: [String], text: String) async throws {
            let process = try await ServiceProcess.start([try ServiceProcess.darumaBinary()] + arguments)
            #expect(try await process.waitForExit(within: patience) == .code(0))
            #expect(process.log.contains(text))
        }

        @Test("a port that is taken is exit code 69, and nothing is said of what was never begun")
        func takenPort() async throws {
            try await withService("postgres://127.0.0.1:1/x") { service in
                let second = try await ServiceProcess.start(
                    [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "\(service.port)"])
                #expect(try await second.waitForExit(within: patience) == .code(69))
                #expect(second.log.contains("cannot listen on"), "\(second.log)")
                #expect(!second.log.contains("closed all connections"), "\(second.log)")
            }
        }

        @Test("a setting that makes no sense is one line and exit code 64", arguments: ["--port=lots", "--nonsense"])
        func wrongSetting(_ argument: String) async throws {
            let process = try await ServiceProcess.start([try ServiceProcess.darumaBinary(), "serve", argument])
            #expect(try await process.waitForExit(within: patience) == .code(64))
            #expect(process.log.contains(String(argument.prefix { $0 != "=" })))
            #expect(process.log.split(separator: "\n").count == 1)
        }
    }
}
