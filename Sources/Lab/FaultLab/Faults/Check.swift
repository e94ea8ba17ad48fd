import Glibc
import PostgresTestKit

/// One promise, held against what was measured.
package struct Check: Sendable {
    package let isKept: Bool
    /// Whether a busy machine alone can break it.
    package let isTiming: Bool
    /// The promise with its figure, in one line.
    package let text: String

    package init(isKept: Bool, isTiming: Bool = false, text: String) {
        self.isKept = isKept
        self.isTiming = isTiming
        self.text = text
    }

    /// What the fault's expectation says of these figures.
    package static func all(for expectation: Fault.Expectation, _ figures: OutageFigures) -> [Check] {
        var verdicts = [
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
            verdicts.append(
                Check(
                    isKept: figures.pingFailing == 0,
                    text: figures.pingFailing == 0
                        ? "no /ping failed: the outage was not seen"
                        : "\(figures.pingFailing) of \(figures.pingCount) /ping failed (none may)"))
        case .outage(let grace, _, let fast, let back):
            verdicts += outage(figures, grace: grace, fast: fast) + recovery(figures, back: back)
        case .tolerated(let back):
            verdicts += recovery(figures, back: back)
        case .absent:
            verdicts.append(
                Check(
                    isKept: figures.pingFailing == 0,
                    text: "\(figures.pingFailing) of \(figures.pingCount) /ping failed that were asked afterwards"))
        case .unasked:
            verdicts.remove(at: 1)
        }
        return verdicts
    }

    private static func outage(
        _ figures: OutageFigures, grace: Duration, fast: Duration
    ) -> [Check] {
        var verdicts: [Check] = []
        if let first = figures.firstFailing {
            let code = figures.codes.first.map { " (\($0))" } ?? ""
            verdicts.append(
                Check(
                    isKept: first <= grace, isTiming: true,
                    text: "the first failing /ping\(code) was answered in \(first.shown) (at most \(grace.shown))"))
            if figures.knownDownCount > 0 {
                verdicts.append(
                    Check(
                        isKept: figures.knownDownP99 <= fast, isTiming: true,
                        text:
                            "the \(figures.knownDownCount) asked once that was known: p99 \(figures.knownDownP99.shown) "
                            + "(at most \(fast.shown)), worst \(figures.knownDownWorst.shown)"))
            }
        } else {
            verdicts.append(Check(isKept: false, text: "no /ping told of the outage"))
        }
        return verdicts
    }

    private static func recovery(_ figures: OutageFigures, back: Duration) -> [Check] {
        var verdicts: [Check] = []
        if let recovery = figures.recovery {
            verdicts.append(
                Check(
                    isKept: recovery <= back, isTiming: true,
                    text: "/ping was good again \(recovery.shown) after logins worked (at most \(back.shown))"))
            verdicts.append(
                Check(
                    isKept: figures.failingAfterRecovery == 0,
                    text: figures.failingAfterRecovery == 0
                        ? "and stayed good" : "\(figures.failingAfterRecovery) /ping failed after the first good one"))
        } else {
            verdicts.append(Check(isKept: false, text: "/ping never was good again"))
        }
        return verdicts
    }
}

extension Duration {
    /// `0.4 ms`, `12 ms`, `3.2 s`: as many digits as a reader wants.
    package var shown: String {
        let milliseconds = self.milliseconds
        if milliseconds < 10 { return "\(rounded(milliseconds, 1)) ms" }
        if milliseconds < 2000 { return "\(Int(milliseconds.rounded())) ms" }
        return "\(rounded(milliseconds / 1000, 1)) s"
    }

    private func rounded(_ value: Double, _ digits: Int) -> String {
        let scale = pow(10, Double(digits))
        let text = String((value * scale).rounded() / scale)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
