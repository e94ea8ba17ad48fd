import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("looked at with a browser,", .serialized)
    struct StatusPageTests {
        @Test(
            "the status page shows the database going and coming, and outlives its service",
            // A browser's errors are no matter of our memory: once is enough.
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
