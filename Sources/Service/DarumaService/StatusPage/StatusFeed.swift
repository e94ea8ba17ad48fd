internal import DispatchLoop
internal import DispatchPostgres

/// The events of `/events`.
///
/// A `snapshot` holds everything, a `tick` only what may have changed. Times are milliseconds since the start of the
/// service. Seconds are `[number, health]` or `[number, health, pings, failures, median µs, slowest µs]`; seconds
/// without news are omitted. Health and slots are indices into lists of the snapshot.
enum StatusFeed {
    /// How long a client waits before it reconnects.
    private static let retryMilliseconds = 1_000

    /// The first event for a viewer. `boot` identifies this run of the service.
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
        return ServerSentEvent(name: "snapshot", data: .object(members), retry: retryMilliseconds)
    }

    /// A later event. `first` is the last second that the viewers know.
    static func tick(
        _ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory, from first: Int, withPast: Bool
    ) -> ServerSentEvent {
        let members = present(report, clock, history.seconds(from: first)) + (withPast ? past(history) : [])
        return ServerSentEvent(name: "tick", data: .object(members))
    }

    private static func present(
        _ report: StatusReport, _ clock: StatusClock, _ seconds: [StatusHistory.Second]
    ) -> [(String, JSONValue)] {
        var members: [(String, JSONValue)] = [
            ("now", .integer(clock.sinceStart.wholeMilliseconds)),
            ("wall", .integer(clock.wallMilliseconds)),
            ("health", .string(report.health.rawValue)),
            ("headline", .string(report.headline)),
            ("note", .string(report.note)),
            ("sinceLabel", .string(report.sinceLabel)),
            ("since", .integer(report.since.wholeMilliseconds)),
            ("falls", .string(report.outageCountText)),
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
        if let next = clock.nextAttempt { members.append(("next", .integer(next.wholeMilliseconds))) }
        return members
    }

    private static func past(_ history: StatusHistory) -> [(String, JSONValue)] {
        let outages = history.outages.map { outage in
            JSONValue.object([
                ("since", .integer(outage.since.wholeMilliseconds)),
                ("length", .integer(outage.length.wholeMilliseconds)),
                ("health", .string(outage.health.rawValue)), ("code", .string(outage.code)),
                ("message", .string(outage.message)), ("attempts", .integer(outage.failedAttempts)),
            ])
        }
        var masked: [(String, JSONValue)] = [("count", .integer(history.masked.count))]
        if let latest = history.masked.latest {
            let parts: [(String, JSONValue)] = [
                ("since", .integer(latest.since.wholeMilliseconds)),
                ("length", .integer(latest.length.wholeMilliseconds)),
            ]
            masked.append(("latest", .object(parts)))
        }
        return [("outages", .array(outages)), ("bridged", .object(masked))]
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
