import PostgresTestKit

/// What is promised of a database that is slow, busy or slow to let in, and never of one that is away.
extension Check {
    /// The relay's counts over a time in which the database was slow: nobody is cut off for that.
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

    /// What the service had to say: the lines that it logged in that time.
    static func silence(_ lines: [String]) -> Check {
        let first = lines.first.map { ", the first: \($0.prefix(200))" } ?? ""
        return Check(isKept: lines.isEmpty, text: "\(lines.count) new lines in the service's log (none may)\(first)")
    }

    /// What the server spent on the service at the worst.
    static func sessions(_ most: ServerSessions, maximum: Int, extra: Int) -> Check {
        Check(
            isKept: most.processes <= maximum + extra,
            text: "at most \(most.processes) processes at the server at a time, \(most.loggingIn) of them in log-in "
                + "(\(maximum) and \(extra) allowed)")
    }
}

extension FaultContext {
    /// The lines that the service has logged so far.
    func logLines() throws -> [String] { try service().log.split(separator: "\n").map(String.init) }
}
