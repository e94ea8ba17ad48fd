internal import CLinux
internal import Glibc

/// A point on `CLOCK_MONOTONIC`, in nanoseconds since an unspecified start (in practice, boot).
///
/// Back-offs, deadlines and lifetimes are measured on this clock, because the wall clock jumps.
public struct MonotonicTime: Hashable, Sendable, Comparable {
    /// Nanoseconds since the clock's unspecified start.
    public var nanoseconds: Int64

    /// The point this many nanoseconds after the clock's start.
    @inlinable
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The clock's time. Pure code takes the time as an argument instead.
    public static func now() -> MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    /// A point that no clock reaches, for "no deadline".
    public static let distantFuture = MonotonicTime(nanoseconds: .max)

    /// Whether `left` comes before `right`.
    @inlinable
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The point `duration` later; saturates at ``distantFuture``.
    @inlinable
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        time.advanced(byNanoseconds: duration.nanoseconds)
    }

    /// The point this many nanoseconds later; saturates at ``distantFuture``. For sums on each request, because
    /// `Duration` counts attoseconds in 128 bits.
    @inlinable
    public func advanced(byNanoseconds count: Int64) -> MonotonicTime {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(count)
        return overflow ? .distantFuture : MonotonicTime(nanoseconds: sum)
    }

    /// The point `duration` earlier.
    @inlinable
    public static func - (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds &- duration.nanoseconds)
    }

    /// The time from `right` to `left`; negative if `left` is earlier.
    @inlinable
    public static func - (left: MonotonicTime, right: MonotonicTime) -> Duration {
        .nanoseconds(left.nanoseconds &- right.nanoseconds)
    }
}

extension Duration {
    /// The duration in whole nanoseconds; saturates beyond ±292 years.
    @inlinable
    public var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }
}
