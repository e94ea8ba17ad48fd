public import DispatchLoop
public import PostgresSession

/// What a pool knew and held at a moment.
public struct PoolSnapshot: Sendable, Hashable {
    /// What the supervisor knows of the database.
    public let health: DatabaseState
    /// What the server was when it was last heard of; `nil` when it has not said, as those before PostgreSQL 14. While
    /// the database is away it may have changed.
    public let role: ServerRole?
    /// The outage that goes on, if one does.
    public let outage: Outage?
    /// How long it has lasted.
    public let outageDuration: Duration?
    /// When the next connect is tried, counted from now, if one is to be.
    public let nextAttempt: Duration?
    /// When the database last proved that it answers; `nil` when it never has.
    public let latestReply: MonotonicTime?
    /// Connections ready to be leased.
    public let idle: Int
    /// Connections checked out.
    public let leased: Int
    /// Connects under way.
    public let connecting: Int
    /// Connections being checked, reset or closed.
    public let other: Int
    /// Connections that are being made ready between two leases: a transaction is rolled back, or the server may still be at a
    /// statement that was given up.
    public let givenUp: Int
    /// Connections that are older than they may become, and serve on because no successor can be opened.
    public let overdue: Int
    /// Requests waiting for a connection.
    public let waiters: Int
    /// What an answer usually takes; `nil` before the first.
    public let usualAnswer: Duration?
    /// What a log-in usually takes; `nil` before the first.
    public let usualLogin: Duration?
    /// How long a query may be silent at present before that is unusual.
    public let silenceLimit: Duration
    /// The table as it was: shared, not copied, until the pool next changes it.
    private let slots: [Slot]

    /// What each slot held, in the order of the slots, as many as the pool's maximum. Made when it is asked for.
    public var slotStates: [SlotState] { slots.map(\.state) }

    /// Sockets to the database, of every kind.
    public var total: Int { idle + leased + connecting + other }

    init(_ machine: PoolMachine, at now: MonotonicTime) {
        health = machine.health
        outage = machine.outage
        role = machine.role
        outageDuration = machine.outage.map { now - $0.since }
        nextAttempt = machine.prober.isRunning ? max(machine.prober.nextAt - now, .zero) : nil
        latestReply = machine.latestReply.nanoseconds == .min ? nil : machine.latestReply
        idle = machine.slots.idle.count
        leased = machine.slots.leasedCount
        connecting = machine.slots.connectingCount
        other = machine.slots.usedCount - idle - leased - connecting
        givenUp = machine.slots.slots.count { $0.state == .resetting }
        overdue = machine.overdueCount(at: now)
        waiters = machine.waiters.count
        usualAnswer = machine.answers.count == 0 ? nil : .nanoseconds(machine.answers.mean)
        usualLogin = machine.logins.count == 0 ? nil : .nanoseconds(machine.logins.mean)
        silenceLimit = .nanoseconds(machine.silenceLimit)
        slots = machine.slots.slots
    }
}
