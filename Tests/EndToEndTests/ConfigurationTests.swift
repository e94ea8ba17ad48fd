import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("with a wrong configuration,", .serialized)
    struct ConfigurationTests {
        @Test("/ping names a wrong password, and recovers once the database has that password")
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

        @Test("/ping names a missing database, and recovers once it exists")
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

        @Test("an invalid DATABASE_URL does not affect /")
        func unreadableURL() async throws {
            try await withService("postgres://admin:P%4@@@[nonsense:port/") { service async throws in
                #expect(await service.get("/").isGood)
                let ping = await service.get("/ping")
                #expect(ping.status == 400)
                #expect(ping.errorCode != nil)
                #expect(!ping.body.contains("nonsense"), "the connection string is in the answer: \(ping.body)")
                let log = { service.process.log }
                #expect(
                    try await Deadline(in: patience).wait { log().contains("the database setting is invalid") })
                #expect(log().contains("@ is %40"))
                #expect(log().split(separator: "\n").count { $0.contains(" error ") } == 1, "\(log())")
                #expect(!log().contains("nonsense"))
            }
        }

        @Test("a login that libpq rejects is misconfigured, not down")
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

        @Test("the log names a password file that others can read, once, and libpq writes nothing to stderr")
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
                    // Takes effect without a restart.
                    #expect(chmod(path, 0o600) == 0)
                    #expect(try await service.isGoodAgain())
                }
            }
        }

        @Test("the log reports an unencrypted session once, and only with sslmode=prefer")
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
            "--help and --version print their text and exit with 0",
            arguments: [
                (["--version"], "."), (["--help"], "Usage: daruma [command]"), (["serve", "-h"], "--pool-max <count>"),
                (["help", "healthcheck"], "--timeout <duration>"),
            ])
        func help(arguments: [String], text: String) async throws {
            let process = try await ServiceProcess.start([try ServiceProcess.darumaBinary()] + arguments)
            #expect(try await process.waitForExit(within: patience) == .code(0))
            #expect(process.log.contains(text))
        }

        @Test("the service and its health check ignore the variables that Kubernetes sets for a Service")
        func serviceLinks() async throws {
            let links = ["ADMIN_PORT": "tcp://10.0.0.1:80", "DARUMA_PORT": "tcp://10.0.0.1:8080"]
            let process = try await ServiceProcess.start(
                [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1"],
                environment: links.merging(["DATABASE_URL": ProbesTests.nowhere, "PORT": "0"]) { $1 })
            let port = try await process.waitUntilListening(within: patience)
            #expect(await HTTPProbe.get("/", port: port, limit: patience).isGood)
            let check = try await ServiceProcess.start(
                [try ServiceProcess.darumaBinary(), "healthcheck"],
                environment: links.merging(["HOST": "127.0.0.1", "PORT": "\(port)"]) { $1 })
            #expect(try await check.waitForExit(within: patience) == .code(0), "\(check.log)")
            #expect(try await process.stop(within: patience) == .code(0))
        }

        @Test("a deprecated variable works and has a line in the log")
        func deprecatedVariable() async throws {
            let process = try await ServiceProcess.start(
                [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0"],
                environment: ["DATABASE_URL": ProbesTests.nowhere, "STATUS_MAX_VIEWERS": "0"])
            let port = try await process.waitUntilListening(within: patience)
            #expect(await HTTPProbe.get("/events", port: port, limit: patience).status == 503)
            #expect(try await process.stop(within: patience) == .code(0))
            let line = "warning STATUS_MAX_VIEWERS is deprecated; set DARUMA_STATUS_MAX_VIEWERS"
            #expect(process.log.contains(line), "\(process.log)")
        }

        @Test("a port in use is exit code 69, without log lines about the pool")
        func takenPort() async throws {
            try await withService("postgres://127.0.0.1:1/x") { service in
                let second = try await ServiceProcess.start(
                    [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "\(service.port)"])
                #expect(try await second.waitForExit(within: patience) == .code(69))
                #expect(second.log.contains("cannot listen on"), "\(second.log)")
                #expect(!second.log.contains("closed all connections"), "\(second.log)")
            }
        }

        @Test("an invalid setting is one line and exit code 64", arguments: ["--port=lots", "--nonsense"])
        func wrongSetting(_ argument: String) async throws {
            let process = try await ServiceProcess.start([try ServiceProcess.darumaBinary(), "serve", argument])
            #expect(try await process.waitForExit(within: patience) == .code(64))
            #expect(process.log.contains(String(argument.prefix { $0 != "=" })))
            #expect(process.log.split(separator: "\n").count == 1)
        }

        @Test("its sessions are named daruma in pg_stat_activity")
        func applicationName() async throws {
            try await PostgresSandbox.withSandbox { sandbox async throws in
                try await withService(sandbox.connectionURL()) { service async throws in
                    #expect(try await service.isGoodAgain())
                    let names = "select distinct application_name from pg_stat_activity where datname = 'mydb'"
                    #expect(try await sandbox.execute(names) == "daruma")
                }
            }
        }
    }
}
