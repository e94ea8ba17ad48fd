import ArgumentParser
import Benchmarks
import Glibc
import PostgresTestKit

/// The gate's counts once more, by another witness: what the kernel was really asked.
struct SyscallsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "syscalls", abstract: "Counts system calls per request with strace.")

    @Option(help: "How many requests.")
    var requests = 2_000

    func validate() throws {
        guard requests > 0 else { throw ValidationError("--requests is a number above zero") }
    }

    func run() async throws {
        try await LabExit.run {
            try await PostgresSandbox.withSandbox { sandbox in
                let url = sandbox.connectionURL(parameters: ["sslmode": "disable", "gssencmode": "disable"])
                for path in ["/", "/ping"] {
                    let few = try await count(path, requests, url)
                    let many = try await count(path, requests * 3, url)
                    let calls = few.perRequest(requests * 2, more: many)
                    let total = calls.reduce(0) { $0 + $1.calls }
                    let text = calls.map { "\($0.name) \(Figure.fixed($0.calls, 2))" }.joined(separator: ", ")
                    Terminal.say("\(path): \(Figure.fixed(total, 2)) system calls per request: \(text)")
                }
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
        do {
            let port = try await process.waitUntilListening()
            _ = try await Deadline(in: .seconds(20)).wait(every: .milliseconds(20)) {
                await HTTPProbe.get("/ping", port: port).isGood
            }
            let failure: (any Error)? = await offCooperativeThreads {
                do {
                    try LockstepClient(port: port, path: path).send(count)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
            // strace keeps signals to itself: it is its child that is asked to leave.
            for child in ProcessTable.children(of: process.id) { kill(child.id, SIGTERM) }
            _ = try await process.waitForExit()
        } catch {
            _ = try? await process.stop()
            throw error
        }
        return SyscallReport(Files.read(report) ?? "")
    }
}
