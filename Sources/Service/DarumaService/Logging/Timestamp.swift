import DispatchLoop

/// The time of log lines: UTC with milliseconds, RFC 3339. Formats the date once a second.
struct Timestamp {
    private var second = Int.min
    private var prefix: [UInt8] = []

    /// The current time: `2026-01-31T23:59:59.123Z`.
    mutating func now() -> [UInt8] {
        let now = WallClock.now()
        return text(seconds: now.seconds, milliseconds: now.milliseconds)
    }

    /// A time since 1970.
    mutating func text(seconds: Int, milliseconds: Int) -> [UInt8] {
        if seconds != second {
            second = seconds
            prefix = Array("\(CivilTime(secondsSinceEpoch: seconds).rfc3339).".utf8)
        }
        var text = prefix
        text.reserveCapacity(24)
        for digit in [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10] {
            text.append(UInt8(ascii: "0") + UInt8(digit))
        }
        text.append(UInt8(ascii: "Z"))
        return text
    }
}
