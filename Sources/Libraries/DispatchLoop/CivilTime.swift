internal import Glibc

/// A date and a time of day in UTC, from gmtime_r(3), which depends on neither the locale nor the time zone.
package struct CivilTime: Equatable, Sendable {
    package let year, month, day, hour, minute, second: Int
    /// Days since Sunday, 0 to 6.
    package let weekday: Int

    package init(secondsSinceEpoch seconds: Int) {
        var seconds = seconds
        var parts = tm()
        gmtime_r(&seconds, &parts)
        (year, month, day) = (Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday))
        (hour, minute, second) = (Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec))
        weekday = Int(parts.tm_wday)
    }

    /// RFC 3339 without fraction and zone: `1994-11-06T08:49:37`.
    package var rfc3339: String {
        "\(year)-\(Self.twoDigits(month))-\(Self.twoDigits(day))T\(time)"
    }

    /// The IMF-fixdate of RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
    package var imfFixdate: String {
        "\(Self.weekdays[weekday]), \(Self.twoDigits(day)) \(Self.months[month - 1]) \(year) \(time) GMT"
    }

    private var time: String { "\(Self.twoDigits(hour)):\(Self.twoDigits(minute)):\(Self.twoDigits(second))" }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
