public import DispatchLoop
public import PostgresSession

/// The state of a pool at one moment.
public struct PoolSnapshot: Sendable, Hashable {
    /// The supervisor's view of the database.
    public let health: DatabaseState
    /// The server's role at its last reply; `nil` when the server does not report it (before PostgreSQL 14). During an
    /// outage it is out of date: see ``knownRole``.
    public let role: ServerRole?
    /// The role that sessions must have.
    package let target: SessionTarget
    /// The current outage, if any.
    public let outage: Outage?
    /// The age of the outage.
    public let outageDuration: Duration?
    /// The time until the next connect, if one is scheduled.
    public let nextAttempt: Duration?
    /// When the database last replied; `nil` if it never has.
    public let latestReply: MonotonicTime?
    /// Connections ready to be leased.
    public let idle: Int
    /// Connections checked out.
    public let leased: Int
    /// Running connects.
    public let connecting: Int
    /// Connections being checked, reset or closed.
    public let other: Int
    /// Connections being reset: the pool rolls back a transaction, or the server may still run an abandoned statement.
    public let givenUp: Int
    /// Connections past their lifetime, or on a server that has lost the wanted role, that serve until a successor is
    /// open.
    public let overdue: Int
    /// Requests waiting for a connection.
    public let waiters: Int
    /// How long an answer usually takes; `nil` before the first.
    public let usualAnswer: Duration?
    /// How long a login usually takes; `nil` before the first.
    public let usualLogin: Duration?
    /// How long a query may usually be silent.
    public let silenceLimit: Duration
    /// Shared with the pool, not copied, until the pool changes its own.
    private let slots: [Slot]

    /// The state of each slot, as many as the pool's maximum. Computed on access.
    public var slotStates: [SlotState] { slots.map(\.state) }

    /// The server's role, as far as requests may rely on it. While the database is suspect the last known role counts,
    /// as for requests, unless a server of the wrong role made it suspect; `nil` while the database does not answer.
    public var knownRole: ServerRole? {
        switch health {
        case .up: role
        case .suspect: outage?.cause.disposition == .wrongRole ? nil : role
        case .down, .misconfigured, .readOnly, .draining, .closed: nil
        }
    }

    /// Sockets to the database, of every kind.
    public var total: Int { idle + leased + connecting + other }

    init(_ machine: PoolMachine, role: ServerRole?, at now: MonotonicTime) {
        health = machine.health
        outage = machine.outage
        self.role = role
        target = machine.target
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
