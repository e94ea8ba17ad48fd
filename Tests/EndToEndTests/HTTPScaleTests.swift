import FaultLab
import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    /// Once is enough: what is looked at is the server's limits and its memory, and a sanitizer's would be in the way.
    @Suite("under many clients,", .serialized, .enabled(if: getenv("DARUMA_SANITIZER") == nil))
    struct HTTPScaleTests {
        private static func scale() throws -> HTTPScale {
            var settings = HTTPScale.Settings()
            settings.idle = 300
            settings.slow = 30
            settings.rounds = 2
            settings.window = .milliseconds(300)
            return HTTPScale(settings, binary: try ServiceProcess.darumaBinary())
        }

        /// What a busy machine alone can break is for `daruma-lab http-scale`.
        private static func check(_ report: HTTPScale.Report) {
            for verdict in report.verdicts where !verdict.isTiming { #expect(verdict.isKept, "\(verdict.text)") }
            #expect(!report.verdicts.isEmpty)
        }

        @Test("idle clients cost little, and leave nothing behind")
        func idle() async throws { Self.check(try await Self.scale().idle()) }

        @Test("as many descriptors as the process may have are used, and too few are said to be")
        func descriptors() async throws {
            let service = try await ServiceProcess.start(
                [
                    "/bin/sh", "-c", "ulimit -S -n 64; ulimit -H -n 300; exec \"$0\" serve --host 127.0.0.1 --port 0",
                    try ServiceProcess.darumaBinary(),
                ], environment: ["DATABASE_URL": "none", "PORT": nil, "HOST": nil])
            _ = try await service.waitUntilListening(within: patience)
            let limits = Files.read("/proc/\(service.id)/limits") ?? ""
            let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
            #expect(line?.split(separator: " ").dropFirst(3).prefix(2) == ["300", "300"])
            #expect(service.log.contains("allowed=300 needed=10058"), "\(service.log)")
            #expect(try await service.stop(within: patience) == .code(0))
        }

        @Test("slow clients of every kind are let go at their limit, and others are answered meanwhile")
        func slow() async throws { Self.check(try await Self.scale().slow()) }
    }
}
