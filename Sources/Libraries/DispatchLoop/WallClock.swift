internal import CLinux
internal import Glibc

/// What the clock on the wall says, for people and logs. It jumps: nothing is timed by it.
package enum WallClock {
    /// Whole seconds since 1970-01-01 UTC, and the milliseconds beyond them.
    package static func now() -> (seconds: Int, milliseconds: Int) {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return (time.tv_sec, time.tv_nsec / 1_000_000)
    }
}
