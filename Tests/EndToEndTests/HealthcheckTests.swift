import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("the health check", .serialized)
    struct HealthcheckTests {
        /// Runs `daruma healthcheck`. Returns its exit status and its output.
        private func check(
            _ arguments: [String] = [], _ environment: [String: String?] = [:]
        ) async throws -> (exit: ServiceProcess.Exit, lines: [Substring]) {
            let process = try await ServiceProcess.start(
                [try ServiceProcess.darumaBinary(), "healthcheck"] + arguments,
                environment: ["HOST": nil, "PORT": nil].merging(environment) { $1 })
            let exit = try await process.waitForExit(within: patience)
            return (exit, process.log.split(separator: "\n"))
        }

        @Test("finds the service by HOST and PORT, with or without a database")
        func environment() async throws {
            try await withService(ProbesTests.nowhere) { service async throws in
                for host in [nil, "", "*", "localhost", "0.0.0.0", "127.0.0.1"] {
                    let (exit, lines) = try await check([], ["HOST": host, "PORT": "\(service.port)"])
                    #expect(exit == .code(0))
                    #expect(lines == ["healthy: http://127.0.0.1:\(service.port)/livez answers 200"])
                }
            }
        }

        @Test("checks the given URL, and any status but 2xx is a failure")
        func url() async throws {
            try await withService(ProbesTests.nowhere, arguments: ["--ready-requires-db", "true"]) {
                service async throws in
                let base = "http://localhost:\(service.port)"
                #expect(try await check(["--url", base]).exit == .code(0))
                let (exit, lines) = try await check(["--url", "\(base)/readyz"])
                #expect(exit == .code(1))
                #expect(lines == ["daruma: unhealthy: \(base)/readyz answers 503"])
                #expect(try await check(["--url", "\(base)/nothing"]).exit == .code(1))
            }
        }

        @Test("a silent service fails at the timeout, a missing one at once")
        func silence() async throws {
            let port = SilentServer()
            let begin = ContinuousClock.now
            let (exit, lines) = try await check(["--timeout", "200ms", "--url", "http://127.0.0.1:\(port.port)/livez"])
            #expect(exit == .code(1))
            #expect(lines == ["daruma: unhealthy: http://127.0.0.1:\(port.port)/livez: timed out"])
            #expect(ContinuousClock.now - begin < patience)
            port.close()
            #expect(try await check([], ["PORT": "\(port.port)"]).exit == .code(1))
        }

        @Test(
            "an invalid option is a usage error in one line",
            arguments: [
                ["--timeout", "soon"], ["--timeout", "0s"], ["--url", "localhost:8080"],
                ["--url", "https://localhost/"],
                ["--url", "http://"], ["--url", "http://a:b/"], ["--nonsense"],
            ])
        func usage(arguments: [String]) async throws {
            let (exit, lines) = try await check(arguments)
            #expect(exit == .code(64))
            #expect(lines.count == 1)
        }
    }
}

/// A listening socket without a server: the kernel accepts connections, and no process answers.
private final class SilentServer {
    let port: UInt16
    private let descriptor: Int32

    init() {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, length)
                _ = listen(descriptor, 8)
                _ = getsockname(descriptor, $0, &length)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
    }

    func close() { Glibc.close(descriptor) }
}
