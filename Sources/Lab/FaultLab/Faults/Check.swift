import Glibc
import PostgresTestKit

/// The result of comparing a promise with a measurement.
package struct Check: Sendable {
    package let isKept: Bool
    /// Whether a busy machine alone can break the promise.
    package let isTiming: Bool
    /// The promise and its figure, in one line.
    package let text: String

    package init(isKept: Bool, isTiming: Bool = false, text: String) {
        self.isKept = isKept
        self.isTiming = isTiming
        self.text = text
    }

    /// The text; for a broken promise of time on a busy machine, with the machine's load.
    package func text(on host: HostInfo) -> String {
        guard !isKept, isTiming, host.isBusy else { return text }
        return "\(text) – the machine is busy: load \(host.load) on \(host.processors) processors"
    }

    /// Compares the fault's expectation with the figures.
    package static func all(for expectation: Fault.Expectation, _ figures: OutageFigures) -> [Check] {
        var checks = [
            Check(
                isKept: figures.rootFailing == 0 && figures.rootCount > 0,
                text: figures.rootFailing == 0
                    ? "/ answered 200 all \(figures.rootCount) times, p99 \(figures.rootP99.shown)"
                    : "/ failed \(figures.rootFailing) of \(figures.rootCount) times"),
            Check(
                isKept: figures.pingUnanswered == 0 && figures.pingCount > 0,
                text: figures.pingUnanswered == 0
                    ? "/ping was answered all \(figures.pingCount) times, the slowest in \(figures.pingWorst.shown)"
                    : "/ping was not answered \(figures.pingUnanswered) of \(figures.pingCount) times"),
        ]
        switch expectation {
        case .unseen:
            checks.append(
                Check(
                    isKept: figures.pingFailing == 0,
                    text: figures.pingFailing == 0
                        ? "no /ping failed: clients did not notice"
                        : "\(figures.pingFailing) of \(figures.pingCount) /ping failed (none may)"))
        case .outage(let grace, _, let fast, let back):
            checks += outage(figures, grace: grace, fast: fast) + recovery(figures, back: back)
        case .tolerated(let back):
            checks += recovery(figures, back: back)
        case .absent:
            checks.append(
                Check(
                    isKept: figures.pingFailing == 0,
                    text: "\(figures.pingFailing) of \(figures.pingCount) later /ping failed (none may)"))
        case .unasked:
            checks.remove(at: 1)
        }
        return checks
    }

    private static func outage(
        _ figures: OutageFigures, grace: Duration, fast: Duration
    ) -> [Check] {
        var checks: [Check] = []
        if let first = figures.firstFailing {
            let code = figures.codes.first.map { " (\($0))" } ?? ""
            checks.append(
                Check(
                    isKept: first <= grace, isTiming: true,
                    text: "the first failing /ping\(code) was answered in \(first.shown) (at most \(grace.shown))"))
            if figures.knownDownCount > 0 {
                checks.append(
                    Check(
                        isKept: figures.knownDownP99 <= fast, isTiming: true,
                        text:
                            "the next \(figures.knownDownCount) failing /ping: p99 \(figures.knownDownP99.shown) "
                            + "(at most \(fast.shown)), worst \(figures.knownDownWorst.shown)"))
            }
        } else {
            checks.append(Check(isKept: false, text: "no /ping reported the outage"))
        }
        return checks
    }

    private static func recovery(_ figures: OutageFigures, back: Duration) -> [Check] {
        var checks: [Check] = []
        if let recovery = figures.recovery {
            checks.append(
                Check(
                    isKept: recovery <= back, isTiming: true,
                    text: "/ping was good again \(recovery.shown) after logins worked (at most \(back.shown))"))
            checks.append(
                Check(
                    isKept: figures.failingAfterRecovery == 0,
                    text: figures.failingAfterRecovery == 0
                        ? "and stayed good" : "\(figures.failingAfterRecovery) /ping failed after the first good one"))
        } else {
            checks.append(Check(isKept: false, text: "/ping was never good again"))
        }
        return checks
    }
}

extension Duration {
    /// Rounded for people: `0.42 ms`, `4.2 ms`, `12 ms`, `3.2 s`.
    package var shown: String {
        let milliseconds = fractionalMilliseconds
        if milliseconds < 10 { return "\(rounded(milliseconds, milliseconds < 1 ? 2 : 1)) ms" }
        if milliseconds < 2000 { return "\(Int(milliseconds.rounded())) ms" }
        return "\(rounded(milliseconds / 1000, 1)) s"
    }

    private func rounded(_ value: Double, _ digits: Int) -> String {
        let scale = pow(10, Double(digits))
        let text = String((value * scale).rounded() / scale)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
