import Glibc
import PostgresTestKit
import Testing

/// The real binary on a real PostgreSQL. One test at a time: two cores under a dozen databases at once
/// would measure the scheduler.
@Suite("the service, end to end,", .serialized, .timeLimit(.minutes(5)))
enum EndToEnd {}

/// How long anything may take before a test calls it lost. No promise: machines are noisy, and
/// sanitizers slow.
let patience = Duration.seconds(20)

/// Under which sanitizer `scripts/test` runs the tests once more, `thread` or `address`; nil as they are.
let sanitizer = getenv("DARUMA_SANITIZER").map { String(cString: $0) }
let isUnderSanitizer = sanitizer != nil

/// A running `daruma serve`, on a port of its own.
struct Service: Sendable {
    let process: ServiceProcess
    let port: UInt16

    var address: ServiceAddress { ServiceAddress(port: port) }

    func get(_ path: String) async -> HTTPExchange { await HTTPProbe.get(path, port: port, limit: patience) }

    /// Asks `/ping` until an answer satisfies the condition; nil when none did.
    func ping(until condition: (HTTPExchange) -> Bool) async throws -> HTTPExchange? {
        var found: HTTPExchange?
        _ = try await Deadline(in: patience).wait(every: .milliseconds(20)) {
            let exchange = await get("/ping")
            if condition(exchange) { found = exchange }
            return found != nil
        }
        return found
    }

    func isGoodAgain() async throws -> Bool { try await ping { $0.isGood } != nil }

    /// Asks `/ping` from several kept connections at once, `count` times on each; returns the answers that were not
    /// good.
    func badPings(clients: Int, each count: Int) async -> [String] {
        let port = port
        return await withTaskGroup(of: [String].self) { group in
            for _ in 0..<clients {
                group.addTask {
                    await offCooperativeThreads {
                        let probe = HTTPProbe(port: port, limit: patience)
                        return (0..<count).map { _ in probe.get("/ping") }.filter { !$0.isGood }.map(\.summary)
                    }
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
    }
}

/// Runs the service during `body`, then stops it. The exit status must be 0, and the log free of sanitizer reports and
/// of the password.
func withService(
    _ databaseURL: String, arguments: [String] = [], _ body: (Service) async throws -> Void
) async throws {
    let process = try await ServiceProcess.start(
        [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0"] + arguments,
        environment: ["DATABASE_URL": databaseURL, "PORT": nil, "HOST": nil])
    do {
        try await body(Service(process: process, port: try await process.waitUntilListening(within: patience)))
    } catch {
        _ = try? await process.stop()
        Issue.record("the end of the service's log: \(process.logTail ?? "none")")
        throw error
    }
    #expect(try await process.stop(within: patience) == .code(0), "\(process.logTail ?? "")")
    let log = process.log
    #expect(!log.contains("Sanitizer"), "\(log)")
    for secret in ["P@ssw0rd", "P%40ssw0rd"] { #expect(!log.contains(secret)) }
}
