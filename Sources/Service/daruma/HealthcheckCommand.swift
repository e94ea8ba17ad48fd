import DarumaService
import Dispatch
import DispatchLoop
import Glibc
import Synchronization

struct HealthcheckCommand {
    static let description = Command(
        name: "healthcheck",
        summary: "Ask a running service whether it is well; exit status 0 or 1. For HEALTHCHECK and shells.",
        options: [
            Option(
                name: "url", valueName: "url",
                help: "What to ask (default: /livez of the service that HOST and PORT describe)."),
            Option(name: "timeout", valueName: "duration", help: "How long to wait (default:\u{A0}2s)."),
        ])

    private let url: String?
    private let timeout: String

    /// - Parameter values: the options that were given.
    init(_ values: [String: String]) {
        url = values["url"]
        timeout = values["timeout"] ?? "2s"
    }

    /// Where a service with this environment can be reached: its own address, unless it listens on all of them.
    private static var host: String {
        switch variable(.host) {
        case nil, "*", "localhost", "0.0.0.0": "127.0.0.1"
        case "::": "[::1]"
        case let host?: host.contains(":") ? "[\(host)]" : host
        }
    }

    /// An empty variable is none, as for `serve`.
    private static func variable(_ setting: Setting) -> String? {
        getenv(setting.variable).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Whether the one line has been decided on: by the answer, or by the time that has passed.
    private static let hasSpoken = Atomic(false)

    private static func speaksFirst() -> Bool { !hasSpoken.exchange(true, ordering: .relaxed) }

    func run() throws {
        guard let limit = Duration(settingText: timeout), limit > .zero else {
            throw CommandFailure.usage("--timeout: '\(timeout)' is not a duration such as 250ms, 1.5s, 5m or 2h")
        }
        let text = url ?? "http://\(Self.host):\(Self.variable(.port) ?? Setting.port.defaultText)/livez"
        guard let target = HealthTarget(text) else {
            throw CommandFailure.usage("--url: '\(text)' is not of the form http://host:port/path")
        }
        // Looking a name up cannot be told to hurry; whatever happens, the answer comes in time.
        let spare = limit + .milliseconds(100)
        DispatchQueue.global().asyncAfter(deadline: .now() + .nanoseconds(Int(spare.nanoseconds))) {
            guard Self.speaksFirst() else { return }
            let line: StaticString = "daruma: not well: no answer in time\n"
            write(STDERR_FILENO, line.utf8Start, line.utf8CodeUnitCount)
            _exit(1)
        }
        let answer = target.ask(deadline: .now() + limit)
        // Too late: the process is about to end.
        while !Self.speaksFirst() { pause() }
        switch answer {
        case .success(let status) where (200..<300).contains(status):
            print("well: \(text) answers \(status)")
        case .success(let status):
            throw CommandFailure(message: "not well: \(text) answers \(status)", status: 1)
        case .failure(let failure):
            throw CommandFailure(message: "not well: \(text): \(failure)", status: 1)
        }
    }
}
