import DispatchLoop

/// Identifies a connection while it has its slot. Never valid again once the slot is free.
public struct ConnectionID: Hashable, Sendable {
    let index: Int
    let serial: UInt32
}

/// What a slot of the pool holds.
///
/// ```
///            ┌────────────────── failed ───────────────────┐
///   free ─ connecting ─▶ idle ⇄ leased ─▶ resetting ─▶ idle│
///    ▲                    ⇅                                │
///    │                 checking                            │
///    └─────────── closing ◀── from any of them             │
///    └─────────────────────────────────────────────────────┘ (from any of them, when the session ended by itself)
/// ```
public enum SlotState: String, Sendable, Hashable, CaseIterable {
    /// No socket. → `connecting`.
    case free
    /// A connect is running. → `idle`, `free`, `closing`.
    case connecting
    /// Ready to be leased, and watched by the event loop. → `leased`, `checking`, `free`, `closing`.
    case idle
    /// An empty query checks that the session works. → `idle`, `free`, `closing`.
    case checking
    /// Checked out. → `idle`, `resetting`, `free`, `closing`.
    case leased
    /// Returned with something to end first: a transaction, or a query that lost to its hedge, missed its deadline or
    /// was cancelled. → `idle`, `free`, `closing`.
    case resetting
    /// Being closed: counts until `PQfinish` has returned. → `free`.
    case closing
}

/// One slot, and what the machine knows about the connection in it.
struct Slot: Sendable, Hashable {
    var serial: UInt32 = 0
    fileprivate(set) var state = SlotState.free
    var generation: UInt32 = 0
    /// When its state began.
    fileprivate(set) var since = MonotonicTime(nanoseconds: 0)
    /// When the server last replied on it.
    var lastReplyAt = MonotonicTime(nanoseconds: 0)
    /// When its lifetime ends.
    var expiresAt = MonotonicTime.distantFuture
    /// Whether it has ever answered a query.
    var hasAnswered = false
    /// Leased, and its query has been silent for longer than usual.
    var isSilent = false
    /// Leased permanently by a holder that only listens: the lease says nothing about the database.
    var isPinned = false
    /// Leased and silent, and its query is safe to repeat on another connection.
    var canBeAbandoned = false
    /// The deadline of the silent query.
    var answerBy = MonotonicTime.distantFuture
    /// Its query may also run on another session.
    var isHedged = false
    /// When a server accepted the running connect, and when it last sent something.
    var acceptedAt: MonotonicTime? {
        get { accepted == .distantFuture ? nil : accepted }
        set { accepted = newValue ?? .distantFuture }
    }
    var spokeAt: MonotonicTime? {
        get { spoke == .distantFuture ? nil : spoke }
        set { spoke = newValue ?? .distantFuture }
    }
    // Not optionals, which would make a slot larger; it is copied on each query.
    private var accepted = MonotonicTime.distantFuture
    private var spoke = MonotonicTime.distantFuture
    /// The running connect was accepted and has made no progress for longer than usual.
    var isHung = false
    /// Holds an additional socket of a connect in another slot.
    var isBorrowed = false
    /// How its server's role fits the wanted one.
    var role = RoleFit.fitting
    /// The connect opens the successor of a connection past its lifetime.
    var isReplacement = false

    /// Whether it holds a session.
    var holdsSession: Bool {
        switch state {
        case .idle, .checking, .leased, .resetting: true
        case .free, .connecting, .closing: false
        }
    }

    /// Whether it holds a session that serves requests.
    var isOpen: Bool { holdsSession && !isPinned }

    /// Why the pool closes it when its successor has answered.
    var retirementReason: SessionCloseReason { role == .lost ? .wrongRole : .lifetime }

    /// When the running connect last made progress.
    var latestProgress: MonotonicTime { spokeAt ?? acceptedAt ?? since }
}

/// The pool's slots: as many as the maximum, so that more sockets are impossible. It makes all transitions of
/// ``SlotState``.
struct SlotTable: Sendable {
    private(set) var slots: [Slot]
    private var free: [Int]
    /// A stack of the idle slots: the connection released last is leased first, so that the others reach their idle
    /// timeout.
    private(set) var idle: [Int] = []
    private(set) var connectingCount = 0
    private(set) var leasedCount = 0
    private(set) var silentCount = 0
    private(set) var pinnedCount = 0
    /// Slots being closed, without the borrowed ones.
    private(set) var closingCount = 0

    init(count: Int) {
        slots = Array(repeating: Slot(), count: count)
        free = Array((0..<count).reversed())
    }

    var hasIdle: Bool { !idle.isEmpty }
    var hasFree: Bool { !free.isEmpty }
    /// Slots in use, for any purpose.
    var usedCount: Int { slots.count - free.count }
    /// Connections that work: idle, or leased and not silent.
    var livingCount: Int { idle.count + leasedCount - silentCount - pinnedCount }

    /// The connection's slot; `nil` once the connection has lost it.
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
        let (wasSilent, wasPinned) = (slots[id.index].isSilent, slots[id.index].isPinned)
        change(&slots[id.index])
        silentCount += (slots[id.index].isSilent ? 1 : 0) - (wasSilent ? 1 : 0)
        pinnedCount += (slots[id.index].isPinned ? 1 : 0) - (wasPinned ? 1 : 0)
    }

    // MARK: Transitions

    /// free → closing: for an additional socket of a connect that races addresses; ``release(_:at:)`` returns it.
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

    /// idle → leased: the one released last.
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
            if slots[index].isPinned { pinnedCount -= 1 }
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
