import FaultLab
import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    /// Disabled under sanitizers, which change the server's memory use.
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

        /// Ignores promises that a busy machine can break by load alone; `daruma-lab http-scale` checks them.
        private static func check(_ report: HTTPScale.Report) {
            for check in report.checks where !check.isTiming { #expect(check.isKept, "\(check.text)") }
            #expect(!report.checks.isEmpty)
        }

        @Test("idle clients cost little memory and leave nothing behind")
        func idle() async throws { Self.check(try await Self.scale().idle()) }

        @Test("it uses all descriptors that the process may have, and logs if they are too few")
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

        @Test("it disconnects slow clients of every kind at their limit, and answers others meanwhile")
        func slow() async throws { Self.check(try await Self.scale().slow()) }
    }
}
