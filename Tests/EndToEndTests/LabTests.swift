import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("the lab's commands:", .serialized)
    struct LabTests {
        private static func lab(
            _ arguments: [String], _ environment: [String: String?] = [:]
        ) async throws -> ServiceProcess {
            let binary = try ServiceProcess.darumaBinary() + "-lab"
            return try await ServiceProcess.start([binary] + arguments, environment: environment)
        }

        @Test("Ctrl-C during the demo leaves no process and no folder behind")
        func interrupted() async throws {
            let folder = try TemporaryFolder(isOpen: true)
            chmod(folder.path, 0o777)
            let demo = try await Self.lab(["demo", "--once"], ["TMPDIR": folder.path])
            let hasBegun = try await Deadline(in: patience).wait { demo.log.contains("the database is stopped") }
            #expect(hasBegun, "\(demo.log)")
            demo.signal(SIGINT)
            #expect(try await demo.waitForExit(within: patience) == .code(130), "\(demo.log)")
            #expect(
                try await Deadline(in: patience).wait(every: .milliseconds(50)) {
                    Self.strays(in: folder.path).isEmpty
                })
        }

        @Test("Ctrl-C during the matrix leaves no process and no folder behind")
        func interruptedMatrix() async throws {
            let folder = try TemporaryFolder(isOpen: true)
            chmod(folder.path, 0o777)
            let lab = try await Self.lab(["chaos", "--only", "freeze,black-hole"], ["TMPDIR": folder.path])
            // The fault begins soon after the service's log exists.
            let isRunning = try await Deadline(in: patience).wait {
                Self.strays(in: folder.path).count > 1 && lab.log.contains("freeze")
            }
            #expect(isRunning || lab.log.contains("freeze"), "\(lab.log)")
            lab.signal(SIGINT)
            #expect(try await lab.waitForExit(within: patience) == .code(130), "\(lab.log)")
            #expect(
                try await Deadline(in: patience).wait(every: .milliseconds(50)) {
                    Self.strays(in: folder.path).isEmpty && Self.folders(in: folder.path) == []
                })
        }

        @Test(
            "a matrix that cannot run prints one clear line and exits with 64 to 78",
            arguments: [
                (["--only", "nonsense"], "no such fault: nonsense"),
                (["--only", "stop", "--command", "/nonexistent/service"], "/nonexistent/service"),
                (["--only", "stop", "--command", "true"], "ended (exit 0) instead of listening"),
                (["--all", "--only", "stop"], "--all and --only"),
                (["--docker", "--only", "stop,black-hole"], "--docker takes stop, kill, freeze, restart with --only"),
                (["--docker", "--all"], "--docker is for a running service"),
            ])
        func badInput(_ arguments: [String], _ words: String) async throws {
            let folder = try TemporaryFolder(isOpen: true)
            chmod(folder.path, 0o777)
            let lab = try await Self.lab(["chaos"] + arguments, ["TMPDIR": folder.path])
            guard case .code(let code) = try await lab.waitForExit(within: patience) else {
                Issue.record("it did not exit: \(lab.log)")
                return
            }
            #expect((64...78).contains(code))
            #expect(lab.log.contains(words), "\(lab.log)")
            #expect(try await Deadline(in: patience).wait { Self.folders(in: folder.path) == [] })
        }

        @Test("chaos --docker says at once that no engine answers, and where it looked")
        func noEngine() async throws {
            let folder = try TemporaryFolder(isOpen: true)
            let host = "unix://\(folder.path)/no.sock"
            for (host, words) in [
                (host, "no container engine answers at \(folder.path)/no.sock"),
                ("ssh://elsewhere", "DOCKER_HOST is ssh://elsewhere"),
            ] {
                let lab = try await Self.lab(["chaos", "--docker"], ["DOCKER_HOST": host])
                #expect(try await lab.waitForExit(within: patience) == .code(69), "\(lab.log)")
                #expect(lab.log.contains(words), "\(lab.log)")
            }
        }

        /// The content of a temporary folder, except for the template, which stays on purpose.
        private static func folders(in folder: String) -> [String] {
            Files.names(in: folder).filter { !$0.hasPrefix(".") && !$0.hasPrefix("daruma-template") }
        }

        /// The processes of sandboxes in the folder.
        private static func strays(in folder: String) -> [Int32] {
            ProcessTable.identifiers.filter { id in
                ProcessTable.arguments(of: id).contains { $0.hasPrefix(folder + "/") }
            }
        }

        @Test("scripts/db prints its own usage for an unknown verb and for none", arguments: [["bogus"], []])
        func unknownVerb(_ arguments: [String]) async throws {
            let scripts = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/scripts"
            let process = try await ServiceProcess.start([scripts + "/db"] + arguments)
            #expect(try await process.waitForExit(within: patience) == .code(64))
            #expect(process.log.contains("usage: scripts/db VERB"), "\(process.log)")
            #expect(!process.log.contains("--folder"), "\(process.log)")
        }

        @Test("db creates, stops, starts and removes a database that other processes find")
        func databaseSwitch() async throws {
            let folder = try TemporaryFolder(isOpen: true)
            func db(_ verb: String) async throws -> (ServiceProcess.Exit, String) {
                let process = try await Self.lab(["db", verb, "--folder", folder.path])
                return (try await process.waitForExit(within: patience), process.log)
            }
            #expect(try await db("stop").0 == .code(70))  // the folder is empty
            let (created, url) = try await db("create")
            #expect(created == .code(0))
            #expect(url.hasPrefix("postgres://admin:P%40ssw0rd@127.0.0.1:"))
            try await withService(url.split(separator: "\n").joined()) { service async throws in
                #expect(try await service.isGoodAgain())
                #expect(try await db("stop").0 == .code(0))
                #expect(try await db("status").0 == .code(3))
                #expect(try await service.ping { $0.status == 400 } != nil)
                #expect(try await db("start").0 == .code(0))
                #expect(try await service.isGoodAgain())
                #expect(try await db("kill").0 == .code(0))
                #expect(try await db("start").0 == .code(0))
                #expect(try await service.isGoodAgain())
            }
            #expect(try await db("url").1 == url)
            #expect(try await db("remove").0 == .code(0))
        }
    }
}
