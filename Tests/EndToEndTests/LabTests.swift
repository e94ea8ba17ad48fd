import Glibc
import PostgresSandbox
import Testing

extension EndToEnd {
    @Suite("told by the lab,", .serialized)
    struct LabTests {
        private static func lab(
            _ arguments: [String], _ environment: [String: String?] = [:]
        ) async throws -> ServiceProcess {
            let binary = try ServiceProcess.darumaBinary() + "-lab"
            return try await ServiceProcess.start([binary] + arguments, environment: environment)
        }

        @Test("Ctrl-C in the middle of the story leaves no process and no folder behind")
        func interrupted() async throws {
            let folder = try TemporaryFolder(isOpen: true)
            chmod(folder.path, 0o777)
            let demo = try await Self.lab(["demo", "--once"], ["TMPDIR": folder.path])
            let isInTheMiddle = try await Deadline(in: patience).wait { demo.log.contains("the database is stopped") }
            #expect(isInTheMiddle, "\(demo.log)")
            demo.signal(SIGINT)
            #expect(try await demo.waitForExit(within: patience) == .code(130), "\(demo.log)")
            #expect(
                try await Deadline(in: patience).wait(every: .milliseconds(50)) {
                    Self.strays(in: folder.path).isEmpty
                })
        }

        /// Processes that were started for a sandbox in the folder.
        private static func strays(in folder: String) -> [Int32] {
            ProcessTable.identifiers.filter { id in
                ProcessTable.arguments(of: id).contains { $0.hasPrefix(folder + "/") }
            }
        }

        @Test("the switch in a folder makes, stops, starts and removes a database that others find")
        func databaseSwitch() async throws {
            let folder = try TemporaryFolder(isOpen: true)
            func db(_ verb: String) async throws -> (ServiceProcess.Exit, String) {
                let process = try await Self.lab(["db", verb, "--folder", folder.path])
                return (try await process.waitForExit(within: patience), process.log)
            }
            #expect(try await db("stop").0 == .code(70))  // there is none
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
