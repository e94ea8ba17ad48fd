internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// What the page shows of the present: the one source of the page as it is served and of the events that keep it up to
/// date. Two reports are equal when a reader would see no difference but the passing of time.
struct StatusReport: Sendable, Hashable {
    /// More slots than these are counted but not drawn.
    static let slotsShown = 240

    let health: DatabaseState
    /// When this health, or the outage, began; counted from the start of the service.
    let since: Duration
    /// Why the database is not up; `nil` when it is.
    let cause: Cause?
    let slots: [SlotState]
    let waiters: Int
    let pace: StatusPace
    /// How often the database has fallen, and how often it stood up again.
    let falls: Int
    let rises: Int
    /// How many interruptions were over before a request was told of them.
    let bridged: Int
    let viewers: Int
    /// Whether the database has ever been there.
    let hasBeenReached: Bool

    /// As ``PostgresError`` tells it to clients: no password, no connection string, no address.
    struct Cause: Sendable, Hashable {
        let code: String
        let message: String
        let failedAttempts: Int
    }

    // MARK: In words

    /// The state in one sentence without its full stop.
    var headline: String {
        switch health {
        case .up where pace.isSlow: "The database is slow"
        case .up: "The database is up"
        case .suspect where !hasBeenReached: "Looking for the database"
        case .suspect: "The database is suspect"
        case .down: "The database is down"
        case .misconfigured where isInvalidConninfo: "The database setting cannot be used"
        case .misconfigured: "The database refuses the log-in"
        case .readOnly: "The database is read-only"
        case .draining: "The service is leaving"
        case .closed: "The service has left"
        }
    }

    /// What that means for requests.
    var note: String {
        switch health {
        case .up where pace.isSlow: "It answers, and so requests are answered: slow is not down."
        case .up where bridged == 0: "Requests are answered."
        case .up: "Requests are answered. \(bridgedText): requests only waited."
        case .suspect: "Requests wait for a moment while it is found out."
        case .down: "Requests are told so at once, and the search goes on."
        case .misconfigured where isInvalidConninfo: "It has to be mended here, at the service."
        case .misconfigured: "A setting has to be mended at the database; it is tried once a second."
        case .readOnly: "One that takes writes is looked for."
        case .draining: "What is in flight is answered; nothing new is begun."
        case .closed: "Nothing is answered any more."
        }
    }

    /// What ``since`` is the beginning of.
    var sinceLabel: String {
        switch health {
        case .up: "Up for"
        case .suspect: "Unsure for"
        case .down, .misconfigured, .readOnly: "Away for"
        case .draining, .closed: "For"
        }
    }

    private var bridgedText: String {
        bridged == 1 ? "1 short interruption bridged" : "\(bridged) short interruptions bridged"
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
        if slots.count > Self.slotsShown { text += ". The first \(Self.slotsShown) are drawn" }
        return text + "." + (pace.text.isEmpty ? "" : " " + pace.text)
    }

    private var isInvalidConninfo: Bool { cause?.code == PostgresError.Code.conninfo }

    var fallsText: String { "\(falls) / \(rises)" }
}

extension StatusReport {
    /// The report on what the pool holds and the history knows.
    init(_ pool: PoolSnapshot, _ history: StatusHistory, viewers: Int) {
        self.init(
            health: pool.health,
            since: max((pool.outage?.since ?? history.healthSince) - history.start, .zero),
            cause: pool.outage.map {
                Cause(code: $0.cause.code, message: $0.cause.message, failedAttempts: $0.failedAttempts)
            },
            slots: pool.slotStates, waiters: pool.waiters, pace: StatusPace(pool), falls: history.falls,
            rises: history.falls - (pool.health.failsAtOnce ? 1 : 0),
            bridged: history.bridged.count, viewers: viewers, hasBeenReached: history.hasBeenUp)
    }
}

extension SlotState {
    /// For somebody who has never read a pool's code.
    var word: String {
        self == .leased ? "in use" : rawValue
    }
}

/// The time of a report.
struct StatusClock: Sendable, Hashable {
    /// Since the start of the service.
    let sinceStart: Duration
    /// Milliseconds since 1970 on the clock on the wall, for showing times of day.
    let wallMilliseconds: Int
    /// When the next connect is tried, counted from now.
    let nextAttempt: Duration?
}
