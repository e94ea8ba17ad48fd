internal import CLinux
internal import Glibc

/// The wall clock, for people and logs. It jumps, so no duration is measured with it.
package enum WallClock {
    /// Whole seconds since 1970-01-01 UTC, and the milliseconds beyond them.
    package static func now() -> (seconds: Int, milliseconds: Int) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return (time.tv_sec, time.tv_nsec / 1_000_000)
    }
}
