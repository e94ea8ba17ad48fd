import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("started with standard descriptors closed,", .serialized)
    struct ClosedDescriptorsTests {
        @Test(
            "it opens them on /dev/null, so that no socket gets the log",
            arguments: ["<&- >&- 2>&-", ">&-", "<&-", "2>&-"])
        func closed(redirections: String) async throws {
            let number = try PortReservation.unreserved()
            let process = try await ServiceProcess.start(
                [
                    "/bin/sh", "-c",
                    "exec \"$0\" serve --host 127.0.0.1 --port \(number) --access-log all \(redirections)",
                    try ServiceProcess.darumaBinary(),
                ], environment: ["DATABASE_URL": ProbesTests.nowhere])
            let service = Service(process: process, port: number)
            #expect(try await Deadline(in: patience).wait { await service.get("/").isGood })
            for _ in 0..<20 { #expect(await service.get("/").isGood) }
            for (descriptor, sign) in ["<&-", ">&-", "2>&-"].enumerated()
            where redirections.split(separator: " ").contains(Substring(sign)) {
                var target = [UInt8](repeating: 0, count: 256)
                let count = readlink("/proc/\(process.id)/fd/\(descriptor)", &target, target.count)
                #expect(String(decoding: target.prefix(max(count, 0)), as: UTF8.self) == "/dev/null")
            }
            #expect(try await process.stop(within: patience) == .code(0))
        }
    }
}
