import DispatchLoop

/// Limits a log line to one per interval and counts the suppressed ones.
struct LineLimit: Sendable {
    private let interval: Duration
    private var last: MonotonicTime?
    private var suppressed = 0

    init(interval: Duration) {
        self.interval = interval
    }

    /// Returns the number of lines suppressed since the last one, or `nil` if this line is suppressed too.
    mutating func pass(at now: MonotonicTime) -> Int? {
        if let last, now < last + interval {
            suppressed += 1
            return nil
        }
        defer { suppressed = 0 }
        last = now
        return suppressed
    }
}
