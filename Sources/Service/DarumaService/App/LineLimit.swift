import DispatchLoop

/// Lets one line through in each interval, and counts those that it holds back.
struct LineLimit: Sendable {
    private let interval: Duration
    private var last: MonotonicTime?
    private var heldBack = 0

    init(interval: Duration) {
        self.interval = interval
    }

    /// Whether a line may be written at `now`: how many were held back since the last one, or `nil` if it may not.
    mutating func pass(at now: MonotonicTime) -> Int? {
        if let last, now < last + interval {
            heldBack += 1
            return nil
        }
        defer { heldBack = 0 }
        last = now
        return heldBack
    }
}
