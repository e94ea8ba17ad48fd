package import PostgresTestKit

/// An outage as clients saw it. Computed from exchanges and four moments, without a clock or a socket.
package struct OutageFigures: Sendable {
    /// The moments that divide a run.
    package struct Moments: Sendable {
        /// Right before the fault.
        package let begin: ContinuousClock.Instant
        /// Right before the end of the fault.
        package let endBegins: ContinuousClock.Instant
        /// When logins worked again.
        package let loginsWork: ContinuousClock.Instant
        /// How long after the beginning the service may learn that the database is down.
        package var established = Duration.zero
    }

    package let rootCount: Int
    /// Requests for `/` without an answer of 200.
    package let rootFailing: Int
    package let rootP99: Duration
    /// The p99 of `/` before the fault and after the recovery, for comparison.
    package let rootP99Quiet: Duration

    package let pingCount: Int
    package let pingFailing: Int
    /// Requests for `/ping` without an HTTP answer. The service promises none.
    package let pingUnanswered: Int
    package let pingWorst: Duration
    /// How long the first failing `/ping` took.
    package let firstFailing: Duration?
    /// The error codes of failing answers, in order of appearance.
    package let codes: [String]
    /// Failing `/ping` that began when the outage was known: after the first failing answer, and after
    /// `Moments.established`.
    package let knownDownCount: Int
    package let knownDownP99: Duration
    package let knownDownWorst: Duration
    /// From working logins to the first good answer; zero if it came earlier, nil if it never came.
    package let recovery: Duration?
    /// Failing `/ping` that began after the first good answer.
    package let failingAfterRecovery: Int

    package init(root: [HTTPExchange], ping: [HTTPExchange], _ moments: Moments) {
        let rootDuring = root.filter { $0.end > moments.begin }
        rootCount = rootDuring.count
        rootFailing = rootDuring.count { !$0.isGood }
        rootP99 = rootDuring.map(\.latency).percentile(99)

        let during = ping.filter { $0.end > moments.begin }
        let failing = during.filter { !$0.isGood }
        pingCount = during.count
        pingFailing = failing.count
        pingUnanswered = during.count { $0.status == nil }
        pingWorst = during.map(\.latency).max() ?? .zero
        let first = failing.min { $0.end < $1.end }
        firstFailing = first?.latency
        var codes: [String] = []
        for code in failing.compactMap(\.errorCode) where !codes.contains(code) { codes.append(code) }
        self.codes = codes

        let knownDown = failing.filter { exchange in
            guard let first else { return false }
            return exchange.begin >= max(first.end, moments.begin + moments.established)
                && exchange.begin < moments.endBegins
        }
        knownDownCount = knownDown.count
        knownDownP99 = knownDown.map(\.latency).percentile(99)
        knownDownWorst = knownDown.map(\.latency).max() ?? .zero

        let back = during.filter { $0.isGood && $0.end >= moments.endBegins }.min { $0.end < $1.end }
        recovery = back.map { max(.zero, $0.end - moments.loginsWork) }
        let quietFrom = max(back?.end ?? moments.loginsWork, moments.loginsWork)
        rootP99Quiet = root.filter { $0.end <= moments.begin || $0.begin >= quietFrom }.map(\.latency).percentile(99)
        failingAfterRecovery = back.map { back in failing.count { $0.begin > back.end } } ?? 0
    }
}

extension [Duration] {
    /// The nearest-rank percentile; zero without values.
    package func percentile(_ percent: Double) -> Duration {
        guard !isEmpty else { return .zero }
        let rank = (percent / 100 * Double(count)).rounded(.up)
        return sorted()[Swift.min(count, Swift.max(1, Int(rank))) - 1]
    }
}
