import FaultLab
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("when the database is lost,", .serialized)
    struct OutageTests {
        @Test("it starts without a database, reports it, and recovers once there is one")
        func bootWithoutDatabase() async throws {
            let sandbox = try await PostgresSandbox.make()
            try await withService(sandbox.connectionURL()) { service in
                let root = await service.get("/")
                #expect(root.status == 200)
                #expect(root.body.contains("\"status\": true"))
                let ping = await service.get("/ping")
                #expect(ping.status == 400)
                #expect(ping.body.contains("\"status\": false"))
                #expect(ping.errorCode != nil)
                try await sandbox.start()
                #expect(try await service.isGoodAgain())
                let good = await service.get("/ping")
                for part in ["\"status\": true", "\"command\": \"SELECT\"", "\"rowCount\": 1", "\"?column?\": 1"] {
                    #expect(good.body.contains(part))
                }
            }
            try await sandbox.remove()
        }

        @Test("it survives every fault and recovers", arguments: Fault.basic.map(\.name))
        func faults(_ name: String) async throws {
            let fault = try #require(Fault.basic.first { $0.name == name })
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL()) { service in
                    var settings = FaultRun.Settings()
                    settings.hold = .milliseconds(1500)
                    settings.patience = patience
                    let run = FaultRun(
                        on: service.address, process: service.process.id, database: SandboxDatabase(sandbox),
                        settings: settings)
                    let figures = try await run.run(fault).figures
                    #expect(figures.rootCount > 0)
                    #expect(figures.rootFailing == 0)
                    #expect(figures.pingUnanswered == 0)
                    #expect(figures.recovery != nil)
                    #expect(figures.failingAfterRecovery == 0)
                    #expect(service.process.isRunning)
                    if case .unseen = fault.expectation {
                        #expect(figures.pingFailing == 0)
                    } else {
                        #expect(figures.pingFailing > 0)
                    }
                }
            }
        }

        @Test("32 clients get an answer to every request through a stop and a start")
        func hammered() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL()) { service in
                    var settings = FaultRun.Settings()
                    settings.pingClients = 32
                    settings.interval = .milliseconds(5)
                    settings.hold = .milliseconds(1000)
                    settings.patience = patience
                    let run = FaultRun(on: service.address, database: SandboxDatabase(sandbox), settings: settings)
                    for fault in [Fault.stop, .kill] {
                        let figures = try await run.run(fault).figures
                        #expect(figures.rootFailing == 0)
                        #expect(figures.pingUnanswered == 0)
                        #expect(figures.recovery != nil)
                        #expect(figures.failingAfterRecovery == 0)
                    }
                }
            }
        }

        @Test("ten outages leak no descriptor and no thread")
        func tenOutages() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL()) { service in
                    func outage() async throws {
                        try await sandbox.stop(.fast)
                        #expect(try await service.ping { $0.status == 400 } != nil)
                        #expect(await service.get("/").isGood)
                        try await sandbox.start()
                        #expect(try await service.isGoodAgain())
                    }
                    #expect(try await service.isGoodAgain())
                    try await outage()  // The first one may start threads that stay.
                    // The number of logins at a recovery depends on the machine's load. The sessions that they open
                    // belong to the pool and are no leak, so their descriptors do not count.
                    func usage() -> ProcessUsage? {
                        service.process.usage?.without(descriptors: sandbox.serverSessions.processes)
                    }
                    let before = try #require(usage())
                    for _ in 1...10 { try await outage() }
                    // The service closes its end of the test's last connection a moment later.
                    var after = try #require(usage())
                    _ = try await Deadline(in: patience).wait(every: .milliseconds(50)) {
                        after = usage() ?? after
                        return after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads
                    }
                    #expect(after.fileDescriptors <= before.fileDescriptors)
                    #expect(after.threads <= before.threads)
                    #expect(try await service.isGoodAgain())
                }
            }
        }

        @Test("terminated sessions are no outage: the next 1,000 /ping are all good")
        func terminatedSessions() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL()) { service async throws in
                    #expect(try await service.isGoodAgain())
                    for _ in 1...2 {
                        #expect(try await sandbox.terminateSessions() >= 1)
                        let port = service.port
                        let bad = await offCooperativeThreads {
                            let probe = HTTPProbe(port: port, limit: patience)
                            return (0..<1000).map { _ in probe.get("/ping") }.filter { !$0.isGood }.map(\.summary)
                        }
                        #expect(bad == [])
                    }
                }
            }
        }
    }
}
