import FaultLab
import PostgresTestKit

/// Tells a run as it happens, one line per thing that changed, with the time since the act began.
struct Reporter: Sendable {
    private let begin = ContinuousClock.now

    func tell(_ event: Timeline.Event) {
        switch event {
        case .mark(let mark):
            say(mark.at, "database", Terminal.coloured(mark.text, .event))
        case .change(let exchange):
            let colour: Terminal.Colour = exchange.isGood ? .good : .bad
            let took = Terminal.coloured("in \(exchange.latency.shown)", .faint)
            say(exchange.end, exchange.path, "\(Terminal.coloured(exchange.summary, colour)) \(took)")
        }
    }

    private func say(_ at: ContinuousClock.Instant, _ who: String, _ what: String) {
        let seconds = max(0, (at - begin).milliseconds / 1000)
        let thousandths = Int((seconds * 1000).rounded())
        let time = "\(thousandths / 1000).\(String(thousandths % 1000 + 1000).dropFirst())"
        let column = String(repeating: " ", count: max(0, 8 - time.count)) + time
        Terminal.say("  \(Terminal.coloured("\(column) s", .faint))  \(who.padded(to: 10))\(what)")
    }

    static func tell(_ verdicts: [Check]) {
        let machine = MachineLoad.now
        for verdict in verdicts {
            let sign = verdict.isKept ? Terminal.coloured("✓", .good) : Terminal.coloured("✗", .bad)
            Terminal.say("    \(sign) \(verdict.text(on: machine))")
        }
    }
}

extension String {
    /// Filled up with spaces.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
