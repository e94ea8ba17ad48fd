import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("in a browser,", .serialized)
    struct StatusPageTests {
        @Test(
            "the status page shows an outage and survives a restart of its service",
            // One pass suffices: a sanitizer of the service finds nothing in a browser.
            .enabled(if: !isUnderSanitizer))
        func browser() async throws {
            let scripts = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/scripts"
            let daruma = try ServiceProcess.darumaBinary()
            let check = try await ServiceProcess.start([
                "python3", "\(scripts)/status/check.py", "--daruma", daruma, "--lab", daruma + "-lab",
            ])
            let exit = try await check.waitForExit(within: .seconds(120))
            #expect(exit == .code(0), "\(check.log)")
        }
    }
}
