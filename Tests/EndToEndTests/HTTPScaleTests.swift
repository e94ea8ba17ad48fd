import Glibc
import PostgresSandbox
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

        @Test("slow clients of every kind are let go at their limit, and others are answered meanwhile")
        func slow() async throws { Self.check(try await Self.scale().slow()) }
    }
}
