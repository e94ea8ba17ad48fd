import ArgumentParser
import DarumaService
import DispatchLoop
import Glibc

struct HealthcheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck",
        abstract: "Ask a running service whether it is well; exit status 0 or 1. For HEALTHCHECK and shells.")

    @Option(help: "What to ask (default: http://127.0.0.1:$PORT/livez, and $PORT is 8080 unless set).")
    var url: String?

    @Option(help: "How long to wait.")
    var timeout = "2s"

    func run() throws {
        guard let limit = Duration(settingText: timeout), limit > .zero else {
            throw CommandFailure.usage("--timeout: '\(timeout)' is not a duration such as 250ms, 1.5s, 5m or 2h")
        }
        let port = getenv(Setting.port.variable).map { String(cString: $0) } ?? Setting.port.defaultText
        let text = url ?? "http://127.0.0.1:\(port)/livez"
        guard let target = HealthTarget(text) else {
            throw CommandFailure.usage("--url: '\(text)' is not of the form http://host:port/path")
        }
        switch target.ask(deadline: .now() + limit) {
        case .success(let status) where (200..<300).contains(status):
            print("well: \(text) answers \(status)")
        case .success(let status):
            throw CommandFailure(message: "not well: \(text) answers \(status)", status: 1)
        case .failure(let failure):
            throw CommandFailure(message: "not well: \(text): \(failure)", status: 1)
        }
    }
}
