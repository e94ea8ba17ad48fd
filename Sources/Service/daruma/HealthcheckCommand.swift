import DarumaService
import Dispatch
import DispatchLoop
import Glibc
import Synchronization

struct HealthcheckCommand {
    static let description = Command(
        name: "healthcheck",
        summary: "Check a running service; exit status 0 or 1. For HEALTHCHECK and shells.",
        options: [
            Option(
                name: "url", valueName: "url",
                help: "URL to check (default: /livez of the service that HOST and PORT describe)."),
            Option(name: "timeout", valueName: "duration", help: "Timeout (default:\u{A0}2s)."),
        ])

    private let url: String?
    private let timeout: String

    /// - Parameter values: the options on the command line.
    init(_ values: [String: String]) {
        url = values["url"]
        timeout = values["timeout"] ?? "2s"
    }

    /// The address of a service with this environment: loopback if it listens on all addresses.
    private static var host: String {
        switch variable(.host) {
        case nil, "*", "localhost", "0.0.0.0": "127.0.0.1"
        case "::": "[::1]"
        case let host?: host.contains(":") ? "[\(host)]" : host
        }
    }

    private static func variable(_ setting: Setting) -> String? {
        setting.value(in: { getenv($0).map { String(cString: $0) } })?.text
    }

    /// Whether the answer or the timeout has decided the output.
    private static let isDecided = Atomic(false)

    private static func decidesFirst() -> Bool { !isDecided.exchange(true, ordering: .relaxed) }

    func run() throws {
        guard let limit = Duration(settingText: timeout), limit > .zero else {
            throw CommandFailure.usage("--timeout: '\(timeout)' is not a duration such as 250ms, 1.5s, 5m or 2h")
        }
        let text = url ?? "http://\(Self.host):\(Self.variable(.port) ?? Setting.port.defaultText)/livez"
        guard let target = HealthTarget(text) else {
            throw CommandFailure.usage("--url: '\(text)' is not of the form http://host:port/path")
        }
        // getaddrinfo(3) has no timeout, so a timer ends the process, whatever it waits for.
        DispatchQueue.global().asyncAfter(deadline: .now() + .nanoseconds(Int(limit.nanoseconds))) {
            guard Self.decidesFirst() else { return }
            let line = "daruma: unhealthy: \(text): timed out\n"
            write(STDERR_FILENO, line, line.utf8.count)
            _exit(1)
        }
        let answer = Result { () throws(HealthTarget.Failure) in try target.ask() }
        // The timer was first and is about to end the process.
        while !Self.decidesFirst() { pause() }
        switch answer {
        case .success(let status) where (200..<300).contains(status):
            print("healthy: \(text) answers \(status)")
        case .success(let status):
            throw CommandFailure(description: "unhealthy: \(text) answers \(status)", status: 1)
        case .failure(let failure):
            throw CommandFailure(description: "unhealthy: \(text): \(failure)", status: 1)
        }
    }
}
