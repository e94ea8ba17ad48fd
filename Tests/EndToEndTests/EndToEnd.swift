import Glibc
import PostgresTestKit
import Testing

/// The real binary on a real PostgreSQL. Tests run one at a time: a dozen databases on two cores would measure the
/// scheduler.
@Suite("the service, end to end,", .serialized, .timeLimit(.minutes(5)))
enum EndToEnd {}

/// The limit after which a test gives up. Not a promise: machines are noisy, and sanitizers are slow.
let patience = Duration.seconds(20)

/// The sanitizer of this pass of `scripts/test`, `thread` or `address`; nil without one.
let sanitizer = getenv("DARUMA_SANITIZER").map { String(cString: $0) }
let isUnderSanitizer = sanitizer != nil

/// A running `daruma serve`, on a port of its own.
struct Service: Sendable {
    let process: ServiceProcess
    let port: UInt16

    var address: ServiceAddress { ServiceAddress(port: port) }

    func get(_ path: String) async -> HTTPExchange { await HTTPProbe.get(path, port: port, limit: patience) }

    /// Requests `/ping` until an answer satisfies the condition; nil if none did.
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

    /// Requests `/ping` `count` times on each of several connections at once. Returns the answers other than 200.
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

extension HTTPProbe {
    /// Sends bytes, and returns everything that the server sends until it closes or `limit` passes. The last request
    /// must ask the server to close.
    static func raw(_ request: String, port: UInt16, limit: Duration) async -> String {
        await offCooperativeThreads {
            let deadline = Deadline(in: limit)
            var received: [UInt8] = []
            do throws(DeadlineSocket.Failure) {
                let socket = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
                try socket.send(Array(request.utf8), deadline: deadline)
                while true { received += try socket.receive(deadline: deadline) }
            } catch {
                let text = String(decoding: received, as: UTF8.self)
                return error == .closed ? text : "\(text)[\(error)]"
            }
        }
    }
}

/// Runs the service while `body` runs, and stops it. It must exit with 0, without a sanitizer's report, and its log
/// must not contain the password.
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
