import PostgresTestKit

/// What is promised under every fault, whatever its kind.
package struct Invariants: Sendable {
    /// How long a `/ping` may take at the worst.
    package var pingDeadline = Duration.milliseconds(1050)
    /// The most connections to the database.
    package var maximumConnections = 10
    /// A request to cancel a statement goes over a connection of its own, for a moment; one at a time.
    private static let cancels = 1
    /// How much slower the p99 of `/` may be than undisturbed …
    package var rootFactor = 1.5
    /// … unless it is below this: a fraction of a millisecond, and a busy scheduler, are noise.
    package var rootFloor = Duration.milliseconds(5)

    package init() {}

    func verdicts(
        _ figures: OutageFigures, peakConnections: Int?, _ before: ProcessUsage?, _ after: ProcessUsage?
    ) -> [Check] {
        let quiet = figures.rootP99Quiet
        let ratio = quiet > .zero ? figures.rootP99 / quiet : 1
        let percent = Int((ratio * 100).rounded())
        var verdicts = [
            Check(
                isKept: figures.rootP99 <= max(quiet * rootFactor, rootFloor), isTiming: true,
                text: "p99 of / was \(figures.rootP99.shown), \(percent) % of the \(quiet.shown) undisturbed "
                    + "(at most \(Int(rootFactor * 100)) %, or \(rootFloor.shown))")
        ]
        if figures.pingCount > 0 {
            verdicts.append(
                Check(
                    isKept: figures.pingWorst <= pingDeadline, isTiming: true,
                    text: "the slowest /ping took \(figures.pingWorst.shown) (at most \(pingDeadline.shown))"))
        }
        if let peakConnections {
            verdicts.append(
                Check(
                    isKept: peakConnections <= maximumConnections + Self.cancels,
                    text: "at most \(peakConnections) connections to the database at a time "
                        + "(\(maximumConnections) allowed, and one more for a request to cancel)"))
        }
        if let before {
            guard let after else { return verdicts + [Check(isKept: false, text: "the process has ended")] }
            verdicts.append(
                Check(
                    isKept: after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads,
                    text: "descriptors \(before.fileDescriptors) → \(after.fileDescriptors), threads "
                        + "\(before.threads) → \(after.threads), connections to the database left out"))
        }
        return verdicts
    }
}
