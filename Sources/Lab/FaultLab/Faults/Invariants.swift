import PostgresTestKit

/// The promises under every fault.
package struct Invariants: Sendable {
    /// The limit for the slowest `/ping`.
    package var pingDeadline = Duration.milliseconds(1050)
    package var maximumConnections = 10
    /// A cancel request briefly uses a separate connection, one at a time.
    private static let cancels = 1
    /// The limit for the p99 of `/`, as a multiple of its undisturbed p99.
    package var rootFactor = 1.5
    /// The p99 of `/` that always passes, before the scheduler's latency is added.
    package var rootFloor = Duration.milliseconds(5)

    package init() {}

    /// The limit for the p99 of `/`.
    ///
    /// - Parameters:
    ///   - quiet: the p99 without the fault.
    ///   - latency: the p99 of how late the machine woke a sleeping thread during the fault. This delay alone can make
    ///     an answer late.
    func rootLimit(quiet: Duration, latency: Duration) -> Duration {
        max(quiet * rootFactor, rootFloor + max(.zero, latency))
    }

    func checks(
        _ figures: OutageFigures, schedulerLatency latency: Duration, peakConnections: Int?, _ before: ProcessUsage?,
        _ after: ProcessUsage?
    ) -> [Check] {
        let quiet = figures.rootP99Quiet
        let ratio = quiet > .zero ? figures.rootP99 / quiet : 1
        let percent = Int((ratio * 100).rounded())
        let limit = rootLimit(quiet: quiet, latency: latency)
        var checks = [
            Check(
                isKept: figures.rootP99 <= limit, isTiming: true,
                text: "p99 of / was \(figures.rootP99.shown), \(percent) % of the \(quiet.shown) undisturbed "
                    + "(at most \(limit.shown): \(Int(rootFactor * 100)) %, or \(rootFloor.shown) and the scheduler's "
                    + "latency of \(latency.shown))")
        ]
        if figures.pingCount > 0 {
            checks.append(
                Check(
                    isKept: figures.pingWorst <= pingDeadline, isTiming: true,
                    text: "the slowest /ping took \(figures.pingWorst.shown) (at most \(pingDeadline.shown))"))
        }
        if let peakConnections {
            checks.append(
                Check(
                    isKept: peakConnections <= maximumConnections + Self.cancels,
                    text: "at most \(peakConnections) connections to the database at a time "
                        + "(\(maximumConnections) allowed, and one more for a request to cancel)"))
        }
        if let before {
            guard let after else { return checks + [Check(isKept: false, text: "the process has ended")] }
            checks.append(
                Check(
                    isKept: after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads,
                    text: "descriptors \(before.fileDescriptors) → \(after.fileDescriptors), threads "
                        + "\(before.threads) → \(after.threads), without connections to the database"))
        }
        return checks
    }
}
