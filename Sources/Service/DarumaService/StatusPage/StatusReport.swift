internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// The current state on the status page, for the page and its events. Equal reports look the same except for the
/// passing of time.
struct StatusReport: Sendable, Hashable {
    /// The maximum number of slots that the page draws.
    static let slotsShown = 240

    let health: DatabaseState
    /// The role that is looked for.
    let target: SessionTarget
    /// When this state, or the outage, started, since the start of the service.
    let since: Duration
    /// The cause of the outage; `nil` if the database is up.
    let cause: Cause?
    let slots: [SlotState]
    let waiters: Int
    let pace: StatusPace
    /// The number of outages in which requests failed, and of recoveries from them.
    let outageCount: Int
    let recoveryCount: Int
    /// The number of interruptions in which no request failed.
    let maskedInterruptions: Int
    let viewers: Int
    /// Whether the service has ever been connected.
    let hasBeenUp: Bool

    /// Without password, connection string and address, as for clients.
    struct Cause: Sendable, Hashable {
        let code: String
        let message: String
        let failedAttempts: Int
    }

    // MARK: Text

    private var summary: DatabaseSummary {
        DatabaseSummary(health, code: cause?.code, target: target, hasBeenUp: hasBeenUp, isSlow: pace.isSlow)
    }

    var headline: String { Self.capitalized(summary.text) }

    var note: String {
        let consequence = Self.capitalized(summary.consequence) + "."
        guard health == .up, maskedInterruptions > 0 else { return consequence }
        let interruptions = maskedInterruptions == 1 ? "interruption" : "interruptions"
        return "\(consequence) \(maskedInterruptions) short \(interruptions) masked; requests were delayed."
    }

    private static func capitalized(_ clause: String) -> String { clause.prefix(1).uppercased() + clause.dropFirst() }

    /// The label of the time since ``since``.
    var sinceLabel: String {
        switch health {
        case .up: "Up for"
        case .suspect: "Suspect for"
        case .down, .misconfigured, .readOnly: "Down for"
        case .draining, .closed: "For"
        }
    }

    var poolSummary: String {
        let open = slots.count { $0 != .free && $0 != .connecting }
        var text = "\(open) of \(slots.count) connections open"
        for state in [SlotState.leased, .idle, .connecting, .checking, .resetting, .closing] {
            let count = slots.count { $0 == state }
            if count > 0 { text += ", \(count) \(state.word)" }
        }
        switch waiters {
        case 0: text += "; no request waits"
        case 1: text += "; 1 request waits"
        default: text += "; \(waiters) requests wait"
        }
        if slots.count > Self.slotsShown { text += ". The first \(Self.slotsShown) are shown" }
        return text + "." + (pace.text.isEmpty ? "" : " " + pace.text)
    }

    var outageCountText: String { "\(outageCount) / \(recoveryCount)" }
}

extension StatusReport {
    init(_ pool: PoolSnapshot, _ history: StatusHistory, viewers: Int) {
        self.init(
            health: pool.health, target: pool.target,
            since: max((pool.outage?.since ?? history.healthSince) - history.start, .zero),
            cause: pool.outage.map {
                Cause(code: $0.cause.code, message: $0.cause.message, failedAttempts: $0.failedAttempts)
            },
            slots: pool.slotStates, waiters: pool.waiters, pace: StatusPace(pool), outageCount: history.outageCount,
            recoveryCount: history.outageCount - (pool.health.failsAtOnce ? 1 : 0),
            maskedInterruptions: history.masked.count, viewers: viewers, hasBeenUp: history.hasBeenUp)
    }
}

extension SlotState {
    var word: String {
        self == .leased ? "in use" : rawValue
    }
}

/// The time of a report.
struct StatusClock: Sendable, Hashable {
    /// Since the start of the service.
    let sinceStart: Duration
    /// The wall clock, in milliseconds since 1970, for times of day.
    let wallMilliseconds: Int
    /// The time until the next connect.
    let nextAttempt: Duration?
}
