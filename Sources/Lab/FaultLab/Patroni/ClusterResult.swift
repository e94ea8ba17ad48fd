import PostgresTestKit

/// The figures of one fault, a row for each service.
struct ClusterResult: Sendable {
    struct Row: Sendable {
        let plan: ObservedService.Plan
        let figures: ClusterFigures
        /// The most in one second until a server took writes again; after that the pool grows.
        let connects: Int
        /// The longest time for which sessions stayed on a server of the wrong role.
        let misplaced: Duration
        /// The service's warnings and errors.
        let complaints: [String]
    }

    let fault: ClusterFault
    /// How long no server took writes; nil if one did all the time.
    let writesAway: Duration?
    /// The same by way of the proxy.
    let routeAway: Duration?
    let remark: String?
    let rows: [Row]
}

extension ClusterResult.Row {
    /// The longest time without writes for which a service with this grace promises that no `/ping` fails.
    private var masked: Duration { plan.grace - .milliseconds(500) }

    /// How many `/ping` failed after the first good one, with code and time of the first few.
    private var failingAfter: String {
        let some = figures.failingAfter.prefix(4).map { "\($0.errorCode ?? $0.summary) after \($0.latency.shown)" }
        return some.isEmpty ? "0" : "\(figures.failingAfter.count) [\(some.joined(separator: ", "))]"
    }

    func cells(of result: ClusterResult) -> [String] {
        let away = plan.isBehindProxy ? result.routeAway : result.writesAway
        return [
            "\(result.fault.name), \(plan.name)", away?.shown ?? "-", "\(figures.pingCount)", "\(figures.pingFailing)",
            figures.pingWorst.shown, figures.recovery?.shown ?? "never", "\(figures.failingAfter.count)", "\(connects)",
            misplaced.shown, "\(complaints.count)",
        ]
    }

    func checks(of result: ClusterResult, _ settings: ClusterCheck.Settings) -> [Check] {
        let name = "\(result.fault.name), \(plan.name)"
        let codes = figures.codes.isEmpty ? "" : " (\(figures.codes.joined(separator: ", ")))"
        // HAProxy that has not noticed tries a refused connect again after a second.
        let retry = plan.isBehindProxy && result.routeAway == result.writesAway ? Duration.seconds(1) : .zero
        let limit = settings.backLimit + retry
        func check(_ isKept: Bool, isTiming: Bool = false, _ text: String) -> Check {
            Check(isKept: isKept, isTiming: isTiming, text: "\(name): \(text)")
        }
        var checks = [
            check(
                figures.rootFailing == 0 && figures.rootCount > 0,
                "/ failed \(figures.rootFailing) of \(figures.rootCount) times (never)"),
            check(
                connects <= settings.connectLimit,
                "at most \(connects) connects in a second, all hosts together (at most \(settings.connectLimit))"),
            check(
                misplaced <= settings.roleLimit, isTiming: true,
                "sessions were on a server of the wrong role for \(misplaced.shown) at most "
                    + "(at most \(settings.roleLimit.shown))"),
            check(
                figures.wrongRoles == 0 && figures.falsePrimaries == 0, isTiming: true,
                "/primary and /replica named the wrong side \(figures.wrongRoles) times, a lost primary "
                    + "\(figures.falsePrimaries) times (never)"),
        ]
        if plan.wantsStandby || !result.fault.losesWrites {
            checks.append(
                check(
                    figures.pingFailing == 0,
                    "\(figures.pingFailing) of \(figures.pingCount) /ping failed\(codes) (none may: its servers were there)"
                ))
        } else {
            let from = plan.isBehindProxy ? "HAProxy routes to the leader" : "a server takes writes"
            checks.append(
                check(
                    figures.recovery.map { $0 <= limit } ?? false && figures.failingAfter.isEmpty,
                    isTiming: true,
                    "the first good /ping \(figures.recovery?.shown ?? "never") after \(from) "
                        + "(at most \(limit.shown)), \(failingAfter) failing then (none may), \(figures.pingFailing) in all\(codes)"
                ))
        }
        if result.fault.isBrief, !plan.isBehindProxy, let away = result.writesAway, away <= masked {
            checks.append(
                check(
                    figures.pingFailing == 0,
                    "\(figures.pingFailing) /ping failed\(codes) in \(away.shown) without writes (none may: the grace is "
                        + "\(plan.grace.shown))"))
        }
        return checks
    }
}
