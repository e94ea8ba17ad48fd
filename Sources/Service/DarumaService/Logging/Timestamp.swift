import DispatchLoop
import Glibc

/// The time for log lines: UTC with milliseconds, RFC 3339. What changes once a second is made once a second.
struct Timestamp {
    private var second = Int.min
    private var prefix: [UInt8] = []

    /// `2026-01-31T23:59:59.123Z`, for the present.
    mutating func now() -> [UInt8] {
        let now = WallClock.now()
        return text(seconds: now.seconds, milliseconds: now.milliseconds)
    }

    /// The same, for a time since 1970.
    mutating func text(seconds: Int, milliseconds: Int) -> [UInt8] {
        if seconds != second {
            second = seconds
            prefix = Self.prefix(of: seconds)
        }
        var text = prefix
        text.reserveCapacity(24)
        Self.append(milliseconds, digits: 3, to: &text)
        text.append(UInt8(ascii: "Z"))
        return text
    }

    private static func prefix(of seconds: Int) -> [UInt8] {
        var seconds = seconds
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var text: [UInt8] = []
        let fields: [(Int32, Int, Unicode.Scalar)] = [
            (parts.tm_year + 1900, 4, "-"), (parts.tm_mon + 1, 2, "-"), (parts.tm_mday, 2, "T"),
            (parts.tm_hour, 2, ":"),
            (parts.tm_min, 2, ":"), (parts.tm_sec, 2, "."),
        ]
        for (number, digits, mark) in fields {
            append(Int(number), digits: digits, to: &text)
            text.append(UInt8(ascii: mark))
        }
        return text
    }

    private static func append(_ number: Int, digits: Int, to text: inout [UInt8]) {
        var divisor = 1
        for _ in 1..<digits { divisor *= 10 }
        while divisor > 0 {
            text.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
            divisor /= 10
        }
    }
}
