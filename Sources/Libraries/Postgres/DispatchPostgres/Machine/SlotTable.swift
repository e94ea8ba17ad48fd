import DispatchLoop

/// Names a connection for as long as it has its slot. Never valid again once the slot is free.
public struct ConnectionID: Hashable, Sendable {
    let index: Int
    let serial: UInt32
}

/// What a slot of the pool holds. All transitions are made by `SlotTable`'s methods, named beside them.
///
/// ```
///            ┌────────────────── failed ───────────────────┐
///   free ─ connecting ─▶ idle ⇄ leased ─▶ resetting ─▶ idle│
///    ▲                    ⇅                                │
///    │                 checking                            │
///    └─────────── closing ◀── from any of them             │
///    └─────────────────────────────────────────────────────┘ (also from any of them, when the session ended by itself)
/// ```
public enum SlotState: String, Sendable, Hashable, CaseIterable {
    /// No socket. → `connecting` (`SlotTable.allocate`).
    case free
    /// A connect is under way. → `idle`, `free`, `closing`.
    case connecting
    /// Ready to be leased; watched by the loop; on the idle stack. → `leased`, `checking`, `free`, `closing`.
    case idle
    /// An empty query is to prove that it lives. → `idle`, `free`, `closing`.
    case checking
    /// Checked out. → `idle`, `resetting`, `free`, `closing`.
    case leased
    /// Home again, but with something to end first: a transaction, or a query that lost its race, ran into its deadline or was
    /// cancelled.
    /// → `idle`, `free`, `closing`.
    case resetting
    /// To be closed, or being closed: counts until `PQfinish` has returned. → `free`.
    case closing
}

/// One slot, and what is known of the connection in it.
struct Slot: Sendable, Hashable {
    var serial: UInt32 = 0
    fileprivate(set) var state = SlotState.free
    var generation: UInt32 = 0
    /// When its latest state began.
    fileprivate(set) var since = MonotonicTime(nanoseconds: 0)
    /// When the server was last known to answer on it.
    var lastReplyAt = MonotonicTime(nanoseconds: 0)
    /// When it is to be replaced, and why.
    var expiresAt = MonotonicTime.distantFuture
    var expiryReason = SessionCloseReason.lifetime
    /// Whether it has ever answered a query.
    var hasAnswered = false
    /// Leased, and its query has been silent for too long.
    var isSilent = false
    /// Leased for good, by somebody who only listens: that it is leased says nothing of the database.
    var isPinned = false
    /// Leased and silent, and whoever leased it can do without: its query is safe to repeat.
    var canBeAbandoned = false
    /// By when the query that is silent on it needs its answer.
    var answerBy = MonotonicTime.distantFuture
    /// The query on it has been allowed to run on another session as well.
    var isHedged = false
    /// When a server accepted the connect that is under way, and when it last said something in it.
    var acceptedAt: MonotonicTime? {
        get { accepted == .distantFuture ? nil : accepted }
        set { accepted = newValue ?? .distantFuture }
    }
    var spokeAt: MonotonicTime? {
        get { spoke == .distantFuture ? nil : spoke }
        set { spoke = newValue ?? .distantFuture }
    }
    // Not optionals: slots are copied with each query.
    private var accepted = MonotonicTime.distantFuture
    private var spoke = MonotonicTime.distantFuture
    /// The connect under way was accepted, and nothing has come of it for longer than usual.
    var isHung = false
    /// It is a further socket's of a connect in another slot.
    var isBorrowed = false
    /// The connect was begun for a successor of a connection that is to be retired.
    var isReplacement = false

    /// Whether it holds a session that is not on its way out.
    var isOpen: Bool {
        switch state {
        case .idle, .checking, .leased, .resetting: !isPinned
        case .free, .connecting, .closing: false
        }
    }

    /// When the connect under way last got on.
    var latestProgress: MonotonicTime { spokeAt ?? acceptedAt ?? since }
}

/// The pool's slots: as many as the maximum, so that there is no way to have more sockets.
struct SlotTable: Sendable {
    private(set) var slots: [Slot]
    private var free: [Int]
    /// The idle ones. The one that came home last is leased first: it is the warmest, and the others can age and go.
    private(set) var idle: [Int] = []
    private(set) var connectingCount = 0
    private(set) var leasedCount = 0
    private(set) var silentCount = 0
    private(set) var dedicatedCount = 0
    /// Slots on their way out; those that are borrowed are not among them.
    private(set) var closingCount = 0

    init(count: Int) {
        slots = Array(repeating: Slot(), count: count)
        free = Array((0..<count).reversed())
    }

    var hasIdle: Bool { !idle.isEmpty }
    var hasFree: Bool { !free.isEmpty }
    /// Slots in any use.
    var usedCount: Int { slots.count - free.count }
    /// Connections that are known to work or are at work without being overdue.
    var livingCount: Int { idle.count + leasedCount - silentCount - dedicatedCount }

    /// The slot of a connection that still has it.
    func slot(_ id: ConnectionID) -> Slot? {
        guard slots[id.index].serial == id.serial, slots[id.index].state != .free else { return nil }
        return slots[id.index]
    }

    func state(_ id: ConnectionID) -> SlotState? { slot(id)?.state }

    func id(at index: Int) -> ConnectionID { ConnectionID(index: index, serial: slots[index].serial) }

    func ids(in state: SlotState) -> [ConnectionID] {
        slots.indices.filter { slots[$0].state == state }.map(id(at:))
    }

    mutating func update(_ id: ConnectionID, _ change: (inout Slot) -> Void) {
        guard slot(id) != nil else { return }
        let (wasSilent, wasDedicated) = (slots[id.index].isSilent, slots[id.index].isPinned)
        change(&slots[id.index])
        silentCount += (slots[id.index].isSilent ? 1 : 0) - (wasSilent ? 1 : 0)
        dedicatedCount += (slots[id.index].isPinned ? 1 : 0) - (wasDedicated ? 1 : 0)
    }

    // MARK: Transitions

    /// free → closing: for a further socket of a connect that races addresses. It is given back by ``release(_:at:)``.
    mutating func borrow(at now: MonotonicTime) -> ConnectionID? {
        guard let id = takeFree(for: .closing, at: now) else { return nil }
        slots[id.index].isBorrowed = true
        closingCount -= 1
        return id
    }

    /// free → connecting
    mutating func allocate(generation: UInt32, at now: MonotonicTime) -> ConnectionID? {
        guard let id = takeFree(for: .connecting, at: now) else { return nil }
        slots[id.index].generation = generation
        return id
    }

    private mutating func takeFree(for state: SlotState, at now: MonotonicTime) -> ConnectionID? {
        guard let index = free.popLast() else { return nil }
        let serial = slots[index].serial
        slots[index] = Slot()
        slots[index].serial = serial
        move(index, to: state, at: now)
        return id(at: index)
    }

    /// idle → leased: the one that came home last.
    mutating func leaseWarmest(at now: MonotonicTime) -> ConnectionID? {
        guard let index = idle.popLast() else { return nil }
        slots[index].state = .leased
        slots[index].since = now
        leasedCount += 1
        return id(at: index)
    }

    /// connecting, checking, leased, resetting → idle
    mutating func becomeIdle(_ id: ConnectionID, at now: MonotonicTime) { move(id.index, to: .idle, at: now) }

    /// idle → checking
    mutating func beginCheck(_ id: ConnectionID, at now: MonotonicTime) { move(id.index, to: .checking, at: now) }

    /// leased → resetting
    mutating func beginReset(_ id: ConnectionID, at now: MonotonicTime) { move(id.index, to: .resetting, at: now) }

    /// any → closing
    mutating func beginClose(_ id: ConnectionID, at now: MonotonicTime) { move(id.index, to: .closing, at: now) }

    /// any → free
    mutating func release(_ id: ConnectionID, at now: MonotonicTime) {
        move(id.index, to: .free, at: now)
        slots[id.index].serial &+= 1
        free.append(id.index)
    }

    private mutating func move(_ index: Int, to state: SlotState, at now: MonotonicTime) {
        switch slots[index].state {
        case .idle: idle.removeAll { $0 == index }
        case .connecting: connectingCount -= 1
        case .closing: if !slots[index].isBorrowed { closingCount -= 1 }
        case .leased:
            leasedCount -= 1
            if slots[index].isSilent { silentCount -= 1 }
            if slots[index].isPinned { dedicatedCount -= 1 }
            slots[index].isSilent = false
            slots[index].isPinned = false
            slots[index].canBeAbandoned = false
            slots[index].isHedged = false
        case .free, .checking, .resetting: break
        }
        switch state {
        case .idle: idle.append(index)
        case .connecting: connectingCount += 1
        case .closing: closingCount += 1
        case .leased: leasedCount += 1
        case .free, .checking, .resetting: break
        }
        slots[index].state = state
        slots[index].since = now
    }
}
