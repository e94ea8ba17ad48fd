import FaultLab
import Testing

extension EndToEnd {
    @Suite("deployed again,", .serialized)
    struct DeployTests {
        /// Skipped under sanitizers, which see the same code in the unit tests.
        @Test(
            "with a drain delay, behind HAProxy and under load, it loses no request",
            .enabled(if: HAProxy.program != nil && !isUnderSanitizer), arguments: RollingRestarts.Sharing.allCases)
        func rollingRestart(_ sharing: RollingRestarts.Sharing) async throws {
            var settings = RollingRestarts.Settings()
            settings.sharing = sharing
            settings.proxy = .haproxy
            settings.drainDelay = .seconds(1)
            settings.restarts = 2
            settings.clients = 8
            settings.requests = 1_000
            let report = try await RollingRestarts(settings).run()
            #expect(report.failures == [:], "of \(report.requests) requests")
        }
    }
}
