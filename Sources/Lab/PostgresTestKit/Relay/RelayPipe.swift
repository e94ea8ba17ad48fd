import DispatchLoop

/// One direction of one connection: the bytes that the relay has read but not yet written. It decides when the relay
/// may write them, without I/O and without a clock.
struct RelayPipe {
    typealias Instant = ContinuousClock.Instant
    typealias Flow = RelayBehaviour.Flow

    /// The maximum number of buffered bytes, so that a stalled receiver stalls the sender, as in TCP.
    static let capacity = 256 * 1024

    /// Seeded, so that a run can be repeated.
    private var random: SplitMix64

    init(seed: UInt64 = 0) { random = SplitMix64(seed: seed) }

    private var chunks: [(due: Instant, bytes: ArraySlice<UInt8>)] = []
    private(set) var count = 0
    /// When throttling allows the next byte.
    private var nextSend: Instant?
    /// Whether the sender has closed. The end follows the bytes.
    private(set) var hasEnded = false

    /// Whether the relay may read more.
    func accepts(_ flow: Flow) -> Bool { !hasEnded && (flow == .swallowing || count < Self.capacity) }

    mutating func take(_ bytes: [UInt8], at now: Instant, _ flow: Flow) {
        if flow == .swallowing { return }
        var due = now
        switch flow {
        case .delayed(let delay): due = now + delay
        case .jittered(let range):
            let share = Double.random(in: 0...1, using: &random)
            // TCP keeps the order, so later bytes are due no sooner.
            due = max(chunks.last?.due ?? now, now + range.lowerBound + (range.upperBound - range.lowerBound) * share)
        case .forwarding, .stalled, .swallowing, .throttled: break
        }
        chunks.append((due, bytes[...]))
        count += bytes.count
    }

    mutating func end() { hasEnded = true }

    /// The bytes that may be written now.
    func ready(at now: Instant, _ flow: Flow) -> ArraySlice<UInt8> {
        guard let first = chunks.first, first.due <= now else { return [] }
        switch flow {
        case .forwarding, .delayed, .jittered: return first.bytes
        case .stalled, .swallowing: return []
        case .throttled(let rate):
            if let nextSend, nextSend > now { return [] }
            // The bytes of 10 ms at a time.
            return first.bytes.prefix(max(1, rate / 100))
        }
    }

    /// Records that `sentCount` of the ready bytes were written.
    mutating func sent(_ sentCount: Int, at now: Instant, _ flow: Flow) {
        guard let first = chunks.first else { return }
        let rest = first.bytes.dropFirst(sentCount)
        if rest.isEmpty { chunks.removeFirst() } else { chunks[0].bytes = rest }
        count -= sentCount
        if case .throttled(let rate) = flow {
            let price = Duration.nanoseconds(Int64(sentCount) * 1_000_000_000 / Int64(max(1, rate)))
            nextSend = max(nextSend ?? now, now) + price
        }
    }

    /// Whether the end of the stream may be forwarded.
    func mayEnd(_ flow: Flow) -> Bool { hasEnded && chunks.isEmpty && flow != .stalled && flow != .swallowing }

    /// When bytes become ready without further input.
    func nextDue(_ flow: Flow) -> Instant? {
        guard let first = chunks.first else { return nil }
        switch flow {
        case .forwarding, .delayed, .jittered: return first.due
        case .throttled: return max(first.due, nextSend ?? first.due)
        case .stalled, .swallowing: return nil
        }
    }
}
