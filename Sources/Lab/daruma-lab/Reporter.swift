import FaultLab
import PostgresTestKit

/// Prints a run as it happens: one line for each change, with the time since the beginning.
struct Reporter: Sendable {
    private let begin = ContinuousClock.now

    func report(_ event: Timeline.Event) {
        switch event {
        case .mark(let mark):
            print(mark.at, "database", Terminal.coloured(mark.text, .event))
        case .change(let exchange):
            let colour: Terminal.Colour = exchange.isGood ? .good : .bad
            let took = Terminal.coloured("in \(exchange.latency.shown)", .faint)
            print(exchange.end, exchange.path, "\(Terminal.coloured(exchange.summary, colour)) \(took)")
        }
    }

    private func print(_ at: ContinuousClock.Instant, _ subject: String, _ text: String) {
        let thousandths = Int(max(0, (at - begin).fractionalMilliseconds).rounded())
        let time = "\(thousandths / 1000).\(String(thousandths % 1000 + 1000).dropFirst())".leftPadded(to: 8)
        Terminal.print("  \(Terminal.coloured("\(time) s", .faint))  \(subject.padded(to: 10))\(text)")
    }

    static func print(_ checks: [Check]) {
        let host = HostInfo.current
        for check in checks {
            let sign = check.isKept ? Terminal.coloured("✓", .good) : Terminal.coloured("✗", .bad)
            Terminal.print("    \(sign) \(check.text(on: host))")
        }
    }

    /// Prints the checks. Throws the exit status of a broken promise.
    static func finish(_ checks: [Check]) throws {
        print(checks)
        guard checks.allSatisfy(\.isKept) else { throw LabExit.brokenPromise }
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
    func leftPadded(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
