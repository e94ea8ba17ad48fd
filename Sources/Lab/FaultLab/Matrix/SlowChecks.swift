import PostgresTestKit

/// Promises for a database that is slow or busy, but not down.
extension Check {
    /// Compares the relay's counts before and after a slow period: the service closes no connection for being slow.
    static func patience(
        _ before: FaultRelay.Statistics, _ after: FaultRelay.Statistics, in time: Duration, newAllowed: Int
    ) -> [Check] {
        let closed = after.closedByClient - before.closedByClient
        let connects = after.accepted - before.accepted
        let rate = (Double(connects) / (time / .seconds(1)) * 10).rounded() / 10
        return [
            Check(isKept: closed == 0, text: "\(closed) connections were closed for being slow (none may)"),
            Check(
                isKept: connects <= newAllowed,
                text: "\(connects) new connections in \(time.shown), \(rate) a second (at most \(newAllowed) in all)"),
        ]
    }

    /// The service logged nothing in that time.
    static func silence(_ lines: [String]) -> Check {
        let first = lines.first.map { ", the first: \($0.prefix(200))" } ?? ""
        return Check(isKept: lines.isEmpty, text: "\(lines.count) new lines in the service's log (none may)\(first)")
    }

    /// The most processes that the server had for the service.
    static func sessions(_ most: ServerSessions, maximum: Int, extra: Int) -> Check {
        Check(
            isKept: most.processes <= maximum + extra,
            text: "at most \(most.processes) processes at the server at a time, \(most.loggingIn) of them in login "
                + "(\(maximum) and \(extra) allowed)")
    }
}

extension FaultContext {
    /// All lines of the service's log.
    func logLines() throws -> [String] { try service().log.split(separator: "\n").map(String.init) }
}
