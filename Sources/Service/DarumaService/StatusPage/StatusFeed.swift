internal import DispatchLoop
internal import DispatchPostgres

/// What goes over `/events`, as a function of what is known.
///
/// A `snapshot` holds everything, a `tick` what may have changed; times are milliseconds since the start of the service.
/// Seconds are `[number, health]` or `[number, health, pings, failures, median µs, slowest µs]`; those in which nothing
/// happened are left out. Health and slots are given by their numbers in lists that the snapshot brings along.
enum StatusFeed {
    /// How long a client waits before it connects again.
    private static let retryMilliseconds = 1_000

    /// The first event for a viewer. `boot` names this run of the service.
    static func snapshot(
        _ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory, boot: String
    ) -> ServerSentEvent {
        let members: [(String, JSONValue)] =
            [
                ("boot", .string(boot)),
                ("healths", .array(DatabaseState.allCases.map { .string($0.rawValue) })),
                ("slotStates", .array(SlotState.allCases.map { .string($0.rawValue) })),
                ("slotWords", .array(SlotState.allCases.map { .string($0.word) })),
            ] + present(report, clock, history.seconds()) + past(history)
        return ServerSentEvent(
            name: "snapshot", data: JSONValue.object(members).compactBytes(), retry: retryMilliseconds)
    }

    /// An event for those who have had a snapshot. `first` is the last second that they know of; the past comes along
    /// when it has changed.
    static func tick(
        _ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory, from first: Int, withPast: Bool
    ) -> ServerSentEvent {
        let members = present(report, clock, history.seconds(from: first)) + (withPast ? past(history) : [])
        return ServerSentEvent(name: "tick", data: JSONValue.object(members).compactBytes(), retry: nil)
    }

    private static func present(
        _ report: StatusReport, _ clock: StatusClock, _ seconds: [StatusHistory.Second]
    ) -> [(String, JSONValue)] {
        var members: [(String, JSONValue)] = [
            ("now", .integer(clock.sinceStart.milliseconds)),
            ("wall", .integer(clock.wallMilliseconds)),
            ("health", .string(report.health.rawValue)),
            ("headline", .string(report.headline)),
            ("note", .string(report.note)),
            ("sinceLabel", .string(report.sinceLabel)),
            ("since", .integer(report.since.milliseconds)),
            ("falls", .string(report.fallsText)),
            ("poolSummary", .string(report.poolSummary)),
            ("slots", .string(digits(of: report.slots))),
            ("viewers", .integer(report.viewers)),
            ("seconds", .array(sparse(seconds))),
        ]
        if let cause = report.cause {
            let parts: [(String, JSONValue)] = [
                ("code", .string(cause.code)), ("message", .string(cause.message)),
                ("attempts", .integer(cause.failedAttempts)),
            ]
            members.append(("cause", .object(parts)))
        }
        if let next = clock.nextAttempt { members.append(("next", .integer(next.milliseconds))) }
        return members
    }

    private static func past(_ history: StatusHistory) -> [(String, JSONValue)] {
        let outages = history.outages.map { outage in
            JSONValue.object([
                ("since", .integer(outage.since.milliseconds)), ("length", .integer(outage.length.milliseconds)),
                ("health", .string(outage.health.rawValue)), ("code", .string(outage.code)),
                ("message", .string(outage.message)), ("attempts", .integer(outage.failedAttempts)),
            ])
        }
        var bridged: [(String, JSONValue)] = [("count", .integer(history.bridged.count))]
        if let latest = history.bridged.latest {
            let parts: [(String, JSONValue)] = [
                ("since", .integer(latest.since.milliseconds)), ("length", .integer(latest.length.milliseconds)),
            ]
            bridged.append(("latest", .object(parts)))
        }
        return [("outages", .array(outages)), ("bridged", .object(bridged))]
    }

    private static func sparse(_ seconds: [StatusHistory.Second]) -> [JSONValue] {
        var previous: DatabaseState?
        return seconds.compactMap { second in
            defer { previous = second.health }
            guard second.health != previous || second.pings > 0 else { return nil }
            var numbers = [second.number, DatabaseState.allCases.firstIndex(of: second.health) ?? 0]
            if second.pings > 0 { numbers += [second.pings, second.failures, second.median, second.slowest] }
            return .array(numbers.map(JSONValue.integer))
        }
    }

    private static func digits(of slots: [SlotState]) -> String {
        var text = ""
        for state in slots.prefix(StatusReport.slotsShown) {
            text += String(SlotState.allCases.firstIndex(of: state) ?? 0)
        }
        return text
    }
}
