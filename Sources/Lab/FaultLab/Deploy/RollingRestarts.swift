import Glibc
import PostgresTestKit

/// A rolling update: two processes share a port, and are replaced one after the other, behind a real proxy and under
/// load. Counts the requests that clients lose.
package struct RollingRestarts: Sendable {
    /// The proxy in front of the service.
    package enum Proxy: String, Sendable, CaseIterable {
        case nginx
        case haproxy
    }

    /// How the processes share the port.
    package enum Sharing: String, Sendable, CaseIterable {
        /// Each has its own socket (`--reuse-port`), and the kernel distributes connections.
        case reusePort = "reuse-port"
        /// All inherit the same listening socket, as from a service manager (sd_listen_fds(3)).
        case activation
    }

    package struct Settings: Sendable {
        package var proxy = Proxy.nginx
        package var sharing = Sharing.reusePort
        /// The service's `--drain-delay`.
        package var drainDelay = Duration.seconds(5)
        package var restarts = 10
        package var clients = 16
        /// The interval between the requests of one client.
        package var interval = Duration.milliseconds(3)
        /// The minimum number of requests.
        package var requests = 200_000

        package init() {}
    }

    package struct Report: Sendable {
        package let requests: Int
        /// The number of failures of each kind.
        package let failures: [String: Int]
        /// The longest time from SIGTERM to a process's end.
        package let slowestEnd: Duration

        package var lost: Int { failures.values.reduce(0, +) }
    }

    private static let processes = 2
    private let settings: Settings
    private let log: @Sendable (String) -> Void

    package init(_ settings: Settings, log: @escaping @Sendable (String) -> Void = { _ in }) {
        self.settings = settings
        self.log = log
    }

    /// Runs the update. Throws if the service or the proxy does not start, or a process does not exit with 0.
    package func run() async throws -> Report {
        var serving: [ServiceProcess] = []
        var port: UInt16 = 0
        let listener = settings.sharing == .activation ? try ListeningSocket() : nil
        do {
            for _ in 0..<Self.processes {
                serving.append(try await start(on: port, listener))
                port = try await serving[0].waitUntilListening()
            }
            let (proxyPort, proxy) = try await startProxy(before: port)
            let report: Report
            do {
                report = try await deploy(&serving, on: port, listener, through: proxyPort)
            } catch {
                _ = try? await proxy.stop()
                throw error
            }
            try await proxy.stop()
            for process in serving { try await process.stop(within: settings.drainDelay + .seconds(10)) }
            return report
        } catch {
            for process in serving { process.signal(SIGKILL) }
            throw error
        }
    }

    private func start(on port: UInt16, _ listener: ListeningSocket?) async throws -> ServiceProcess {
        let options = ["serve", "--drain-delay", "\(Int(settings.drainDelay.fractionalMilliseconds))ms"]
        let environment = ["DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "PORT": nil, "HOST": nil]
        let binary = try ServiceProcess.darumaBinary()
        let process: ServiceProcess
        if let listener {
            // The shell becomes the service and keeps its process id.
            let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\""
            process = try await ServiceProcess.start(
                ["/bin/sh", "-c", script, binary] + options, environment: environment, input: listener.descriptor)
        } else {
            process = try await ServiceProcess.start(
                [binary] + options + ["--host", "127.0.0.1", "--port", "\(port)", "--reuse-port", "true"],
                environment: environment)
        }
        _ = try await process.waitUntilListening()
        return process
    }

    private func startProxy(before service: UInt16) async throws -> (UInt16, ServiceProcess) {
        switch settings.proxy {
        case .nginx:
            let nginx = try await Nginx(before: service)
            return (nginx.port, nginx.process)
        case .haproxy:
            let haproxy = try await HAProxy(before: service)
            return (haproxy.port, haproxy.process)
        }
    }

    private func deploy(
        _ serving: inout [ServiceProcess], on port: UInt16, _ listener: ListeningSocket?, through proxy: UInt16
    ) async throws -> Report {
        let timeline = Timeline()
        let clients = (0..<settings.clients).map { _ in
            ProbeLoop(ServiceAddress(port: proxy), path: "/", every: settings.interval, into: timeline)
        }
        var slowest = Duration.zero
        do {
            for number in 1...max(settings.restarts, 1) {
                serving.append(try await start(on: port, listener))
                let old = serving.removeFirst()
                let begin = ContinuousClock.now
                old.signal(SIGTERM)
                let exit = try await old.waitForExit(within: settings.drainDelay + .seconds(10))
                guard exit == .code(0) else {
                    throw SandboxError(.service, "the service ended with \(exit)", logTail: old.logTail)
                }
                let time = ContinuousClock.now - begin
                slowest = max(slowest, time)
                log("restart \(number) of \(settings.restarts): \(time.shown)")
            }
            let limit = Deadline(in: .seconds(600))
            _ = try await limit.wait(every: .milliseconds(100)) { timeline.count >= settings.requests }
        } catch {
            await ProbeLoop.stop(clients)
            throw error
        }
        await ProbeLoop.stop(clients)
        var failures: [String: Int] = [:]
        let exchanges = timeline.exchanges(on: "/")
        for exchange in exchanges where !exchange.isGood { failures[exchange.summary, default: 0] += 1 }
        return Report(requests: exchanges.count, failures: failures, slowestEnd: slowest)
    }
}

/// A socket that listens on a free port of the loopback address, for processes that inherit it. Never accepts.
private final class ListeningSocket: Sendable {
    let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let isBound = IPv4Address.loopback.with(0) { bind(descriptor, $0, $1) == 0 }
        guard isBound, listen(descriptor, 1_024) == 0 else {
            let reason = SandboxError.systemMessage
            close(descriptor)
            throw SandboxError(.launch, "cannot create the shared socket: \(reason)")
        }
    }

    deinit { close(descriptor) }
}
