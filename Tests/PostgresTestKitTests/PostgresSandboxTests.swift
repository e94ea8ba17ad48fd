import Glibc
import Testing

@testable import PostgresTestKit

@Suite("Sandboxes", .timeLimit(.minutes(3)))
struct PostgresSandboxTests {
    @Test("a new sandbox is stopped, starts, accepts logins with its password, and disappears when removed")
    func lifeOfASandbox() async throws {
        let sandbox = try await PostgresSandbox.make()
        #expect(await sandbox.status() == .stopped)
        try await sandbox.start()
        guard case .accepting = await sandbox.status() else {
            Issue.record("not accepting connections after a start")
            return
        }
        #expect(try await sandbox.execute("select current_database(), 1 + 1", database: "mydb") == "mydb|2")
        #expect(try await sandbox.execute("select rolsuper from pg_roles where rolname = 'admin'") == "t")
        #expect(try await login(sandbox.connectionURL()) == "admin@mydb")
        await #expect(throws: SandboxError.self) { try await login(sandbox.connectionURL(password: "wrong")) }
        try await sandbox.remove()
        #expect(!exists(sandbox.folder))
        #expect(await sandbox.status() == .stopped)
    }

    @Test("every stop mode ends the server and keeps its data", arguments: StopMode.allCases)
    func stopModes(_ mode: StopMode) async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await sandbox.execute("create table kept (n int); insert into kept values (7); checkpoint")
            let server = try #require(sandbox.server)
            try await sandbox.stop(mode)
            #expect(ProcessTable.hasEnded(server))
            #expect(await sandbox.status() == .stopped)
            try await sandbox.stop(mode)  // a stopped server is no error
            try await sandbox.start()
            #expect(try await sandbox.execute("select n from kept") == "7")
        }
    }

    @Test("SIGKILL ends the postmaster and every child, and the server can start again at once, ten times")
    func killAndStart() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            for _ in 1...10 {
                let server = try #require(sandbox.server)
                let children = ProcessTable.children(of: server.id)
                #expect(children.count >= 4)
                try await sandbox.kill()
                #expect((children + [server]).allSatisfy(ProcessTable.hasEnded))
                try await sandbox.start()
            }
            #expect(try await sandbox.execute("select 1") == "1")
        }
    }

    @Test("a login in progress counts as a session process, and settings change without a login")
    func loginUnderWay() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            // The login probes of the start may not have ended yet.
            #expect(try await Deadline(in: .seconds(10)).wait { sandbox.serverSessions == ServerSessions() })
            try await sandbox.setWithoutLogin(["post_auth_delay": "2"])
            let watch = SessionWatch(sandbox)
            #expect(try await login(sandbox.connectionURL()) == "admin@mydb")
            let most = await watch.stop()
            #expect(most.processes == 1)
            #expect(most.loggingIn == 1)
            #expect(try await Deadline(in: .seconds(10)).wait { sandbox.serverSessions == ServerSessions() })
        }
    }

    @Test("a frozen server reports its state, stays silent, and answers after thawing")
    func freezeAndThaw() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await sandbox.freeze()
            let server = try #require(sandbox.server)
            #expect(await sandbox.status() == .frozen(pid: server.id))
            #expect(ProcessTable.children(of: server.id).allSatisfy { $0.isStopped || $0.hasEnded })
            await #expect(throws: SandboxError.self) {
                try await sandbox.waitForLogins(Deadline(in: .milliseconds(300)))
            }
            try await sandbox.thaw()
            #expect(try await sandbox.execute("select 1") == "1")

            try await sandbox.freeze(onlyPostmaster: true)
            #expect(ProcessTable.children(of: server.id).contains { !$0.isStopped })
            try await sandbox.stop(.fast)  // thaws first
            #expect(await sandbox.status() == .stopped)
        }
    }

    @Test("a restart starts a new postmaster on the same port, and returns its duration")
    func restart() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let before = try #require(sandbox.server)
            let time = try await sandbox.restart()
            let after = try #require(sandbox.server)
            #expect(before.id != after.id)
            #expect(time > .milliseconds(5))
            #expect(try await login(sandbox.connectionURL()) == "admin@mydb")
        }
    }

    @Test("concurrent starts leave one running server and no error")
    func startsAtOnce() async throws {
        let sandbox = try await PostgresSandbox.make()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 1...3 { group.addTask { try await sandbox.start() } }
            try await group.waitForAll()
        }
        #expect(try await sandbox.execute("select 1") == "1")
        try await sandbox.remove()
    }

    @Test("a stopped sandbox keeps its port reserved and refuses connections")
    func portStaysReserved() async throws {
        let first = try await PostgresSandbox.make()
        let second = try await PostgresSandbox.make()
        #expect(first.port != second.port)
        #expect(!canBind(first.port))
        try await first.start()
        try await second.start()
        try await first.remove()
        try await second.remove()
    }

    @Test("settings, role, password and database follow the configuration")
    func configuration() async throws {
        var configuration = SandboxConfiguration(settings: ["max_connections": "8"])
        configuration.user = "o'clock"
        configuration.password = "it's / a : p@ss"
        configuration.database = "my \"other\" db"
        try await PostgresSandbox.withSandbox(configuration) { sandbox async throws in
            #expect(try await sandbox.execute("show max_connections") == "8")
            #expect(try await login(sandbox.connectionURL()) == "o'clock@my \"other\" db")
            #expect(try await sandbox.execute("select datname from pg_database where datname = 'mydb'") == "")
        }
    }

    @Test("authentication and settings change while the server runs")
    func changes() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await sandbox.setAuthentication(.trust)
            #expect(try await login(sandbox.connectionURL(password: "whatever")) == "admin@mydb")
            try await sandbox.setAuthentication(.reject)
            await #expect(throws: SandboxError.self) { try await login(sandbox.connectionURL()) }
            try await sandbox.set(["idle_session_timeout": "700ms"])
            #expect(try await sandbox.execute("show idle_session_timeout") == "700ms")
        }
    }

    @Test("counting and terminating sessions leaves out the sandbox's own")
    func sessions() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            #expect(try await sandbox.sessionCount() == 0)
            async let sleeper: String? = try? login(sandbox.connectionURL(), "select pg_sleep(60)")
            let isThere = try await Deadline(in: .seconds(10)).wait {
                try await sandbox.sessionCount(user: "admin") == 1
            }
            #expect(isThere)
            #expect(try await sandbox.sessionProcesses().count == 1)
            #expect(try await sandbox.terminateSessions() == 1)
            #expect(await sleeper == nil)
            #expect(try await sandbox.sessionCount() == 0)
        }
    }

    @Test("a server that cannot start fails at once and quotes its log")
    func startFails() async throws {
        let sandbox = try await PostgresSandbox.make(SandboxConfiguration(settings: ["max_connections": "lots"]))
        let error = await #expect(throws: SandboxError.self) { try await sandbox.start() }
        #expect(error?.kind == .serverEnded)
        #expect(error?.description.contains("max_connections") == true)
        try await sandbox.remove()
    }

    @Test("a failing statement quotes the server")
    func statementFails() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let error = await #expect(throws: SandboxError.self) { try await sandbox.execute("select 1/0") }
            #expect(error?.description.contains("division by zero") == true)
        }
    }

    @Test("a sandbox that is released without `remove` removes itself")
    func forgotten() async throws {
        var sandbox: PostgresSandbox? = try await PostgresSandbox.make()
        try await sandbox?.start()
        let folder = try #require(sandbox?.folder)
        let server = try #require(sandbox?.server)
        sandbox = nil
        #expect(try await Deadline(in: .seconds(30)).wait { !exists(folder) && ProcessTable.hasEnded(server) })
    }

    @Test("a folder too deep for a Unix socket works")
    func deepFolder() async throws {
        let base = try TemporaryFolder(isOpen: true)
        let deep = base.path + "/" + String(repeating: "deeper/", count: 15) + "end"
        let sandbox = try await PostgresSandbox.open(folder: deep)
        try await sandbox.start()
        #expect(sandbox.socketFolder != sandbox.folder)
        #expect(try await sandbox.execute("select 1") == "1")
        try await sandbox.remove()
        #expect(!exists(sandbox.socketFolder))
    }
}

@Suite("A permanent sandbox", .timeLimit(.minutes(3)))
struct PermanentSandboxTests {
    @Test("keeps its data, its port and its running server for everyone who opens the folder")
    func foundAgain() async throws {
        let base = try TemporaryFolder(isOpen: true)
        #expect(!PostgresSandbox.exists(in: base.path))
        let first = try await PostgresSandbox.open(folder: base.path)
        try await first.start()
        #expect(PostgresSandbox.exists(in: base.path))
        try await first.execute("create table kept (n int); insert into kept values (42)", database: "mydb")
        #expect(try await first.execute("show fsync") == "on")

        let second = try await PostgresSandbox.open(folder: base.path)
        #expect(second.port == first.port)
        let seen = await first.status()
        #expect(await second.status() == seen)
        try await second.stop()
        #expect(await first.status() == .stopped)

        let third = try await PostgresSandbox.open(folder: base.path)
        try await third.start()
        #expect(try await third.execute("select n from kept", database: "mydb") == "42")
        try await third.remove()
        #expect(!PostgresSandbox.exists(in: base.path))
    }
}
