import PostgresTestKit

/// What the clients of one service saw of one fault of its cluster. Computed from exchanges and moments, without a clock
/// or a socket.
struct ClusterFigures: Sendable {
    struct Moments: Sendable {
        /// Right before the fault.
        let begin: ContinuousClock.Instant
        /// When the leader stopped taking writes; nil if it never did.
        var lost: ContinuousClock.Instant?
        /// When the service's way led to a server that takes writes again; nil if none was lost.
        var back: ContinuousClock.Instant?
        /// When a server took writes again, whatever the service's way; nil if none was lost.
        var writes: ContinuousClock.Instant?
        let end: ContinuousClock.Instant
        /// How long after the loss `/primary` must know it.
        var established = Duration.seconds(3)
    }

    let rootCount: Int
    let rootFailing: Int
    let pingCount: Int
    let pingFailing: Int
    let pingWorst: Duration
    /// The error codes of failing answers, in order of appearance.
    let codes: [String]
    /// From the return to the first good answer of `/ping`; zero if one came at once, nil if none came.
    let recovery: Duration?
    /// Failing `/ping` that began after the first good answer, in the order of their ends.
    let failingAfter: [HTTPExchange]
    /// Answers of `/primary` and `/replica` that were wrong, a second after the return.
    let wrongRoles: Int
    /// Answers of `/primary` with 200 while no server took writes.
    let falsePrimaries: Int

    init(
        root: [HTTPExchange], ping: [HTTPExchange], primary: [HTTPExchange], replica: [HTTPExchange],
        _ moments: Moments,
        wantsStandby: Bool
    ) {
        func within(_ exchanges: [HTTPExchange]) -> [HTTPExchange] {
            exchanges.filter { $0.end > moments.begin && $0.begin < moments.end }
        }
        let (root, ping) = (within(root), within(ping))
        rootCount = root.count
        rootFailing = root.count { !$0.isGood }
        pingCount = ping.count
        pingFailing = ping.count { !$0.isGood }
        pingWorst = ping.map(\.latency).max() ?? .zero
        var codes: [String] = []
        for exchange in ping where !exchange.isGood && !codes.contains(exchange.errorCode ?? exchange.summary) {
            codes.append(exchange.errorCode ?? exchange.summary)
        }
        self.codes = codes

        let back = moments.back ?? moments.begin
        let first = ping.filter { $0.isGood && $0.end >= back }.map(\.end).min()
        recovery = first.map { max(.zero, $0 - back) }
        failingAfter = first.map { first in ping.filter { !$0.isGood && $0.begin > first } } ?? []

        let settled = (first ?? back) + .seconds(1)
        func wrong(_ exchanges: [HTTPExchange], isGood: Bool) -> Int {
            exchanges.count { $0.begin >= settled && $0.end <= moments.end && $0.isGood != isGood }
        }
        wrongRoles = wrong(primary, isGood: !wantsStandby) + wrong(replica, isGood: wantsStandby)

        if let lost = moments.lost, let writes = moments.writes, !wantsStandby {
            let known = lost + moments.established
            falsePrimaries = primary.count { $0.isGood && $0.begin >= known && $0.end < writes }
        } else {
            falsePrimaries = 0
        }
    }
}
