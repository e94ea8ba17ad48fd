import ArgumentParser
import Benchmarks
import Glibc
import PostgresTestKit

/// System calls per request, as a second opinion on the gate's counts.
struct SyscallsCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "syscalls", abstract: "Counts system calls per request with strace.")

    @Option(help: "The number of requests.")
    var requests = 2_000

    func validate() throws { try require("--requests", requests, in: 1...1_000_000) }

    func perform() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let url = sandbox.connectionURL(parameters: ["sslmode": "disable", "gssencmode": "disable"])
            for path in ["/", "/ping"] {
                let few = try await count(path, requests, url)
                let many = try await count(path, requests * 3, url)
                let calls = few.perRequest(requests * 2, more: many)
                let total = calls.reduce(0) { $0 + $1.calls }
                let text = calls.map { "\($0.name) \(Figure.fixed($0.calls, 2))" }.joined(separator: ", ")
                Terminal.print("\(path): \(Figure.fixed(total, 2)) system calls per request: \(text)")
            }
        }
    }

    private func count(_ path: String, _ count: Int, _ url: String) async throws -> SyscallReport {
        let folder = try TemporaryFolder()
        let report = "\(folder.path)/strace.txt"
        let process = try await ServiceProcess.start(
            [
                "strace", "-f", "-c", "-o", report, try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1",
                "--port", "0", "--pool-max", "1",
            ], environment: ["DATABASE_URL": url])
        try await process.whileRunning(exitsWithZero: false) {
            let port = try await process.waitUntilListening()
            try await HTTPProbe.waitUntilGood(port: port)
            try await offCooperativeThreads { try LockstepClient(port: port, path: path).send(count) }
            // strace does not forward signals: stop its child.
            for child in ProcessTable.children(of: process.id) { kill(child.id, SIGTERM) }
            _ = try await process.waitForExit()
        }
        return SyscallReport(Files.read(report) ?? "")
    }
}
