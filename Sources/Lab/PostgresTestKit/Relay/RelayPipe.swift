import DispatchLoop

/// One direction of one connection: bytes that came in and have not gone out yet. Decides what may go
/// out when; moves nothing itself and asks no clock.
struct RelayPipe {
    typealias Instant = ContinuousClock.Instant
    typealias Flow = RelayBehaviour.Flow

    /// More than that is not taken in, so that a stalled receiver stalls the sender, as TCP would.
    static let capacity = 256 * 1024

    /// The jitter is drawn from the seed, so that a run can be repeated.
    private var random: SplitMix64

    init(seed: UInt64 = 0) { random = SplitMix64(seed: seed) }

    private var chunks: [(due: Instant, bytes: ArraySlice<UInt8>)] = []
    private(set) var count = 0
    /// For throttling: when the next byte may go.
    private var paid: Instant?
    /// The sender has closed; goes out after the bytes.
    private(set) var hasEnded = false

    /// Whether more may be taken in.
    func accepts(_ flow: Flow) -> Bool { !hasEnded && (flow == .swallowing || count < Self.capacity) }

    mutating func take(_ bytes: [UInt8], at now: Instant, _ flow: Flow) {
        if flow == .swallowing { return }
        var due = now
        switch flow {
        case .delayed(let delay): due = now + delay
        case .jittered(let range):
            let share = Double.random(in: 0...1, using: &random)
            // TCP keeps the order: what comes later is due no sooner.
            due = max(chunks.last?.due ?? now, now + range.lowerBound + (range.upperBound - range.lowerBound) * share)
        case .forwarding, .stalled, .swallowing, .throttled: break
        }
        chunks.append((due, bytes[...]))
        count += bytes.count
    }

    mutating func end() { hasEnded = true }

    /// What may go out now; empty when nothing may.
    func ready(at now: Instant, _ flow: Flow) -> ArraySlice<UInt8> {
        guard let first = chunks.first, first.due <= now else { return [] }
        switch flow {
        case .forwarding, .delayed, .jittered: return first.bytes
        case .stalled, .swallowing: return []
        case .throttled(let rate):
            if let paid, paid > now { return [] }
            // A hundredth of a second's worth at a time.
            return first.bytes.prefix(max(1, rate / 100))
        }
    }

    /// So many of the ready bytes went out.
    mutating func sent(_ sentCount: Int, at now: Instant, _ flow: Flow) {
        guard let first = chunks.first else { return }
        let rest = first.bytes.dropFirst(sentCount)
        if rest.isEmpty { chunks.removeFirst() } else { chunks[0].bytes = rest }
        count -= sentCount
        if case .throttled(let rate) = flow {
            let price = Duration.nanoseconds(Int64(sentCount) * 1_000_000_000 / Int64(max(1, rate)))
            paid = max(paid ?? now, now) + price
        }
    }

    /// Whether the news of the sender's end may go out.
    func mayEnd(_ flow: Flow) -> Bool { hasEnded && chunks.isEmpty && flow != .stalled && flow != .swallowing }

    /// When something may become ready by time alone.
    func nextDue(_ flow: Flow) -> Instant? {
        guard let first = chunks.first else { return nil }
        switch flow {
        case .forwarding, .delayed, .jittered: return first.due
        case .throttled: return max(first.due, paid ?? first.due)
        case .stalled, .swallowing: return nil
        }
    }
}
