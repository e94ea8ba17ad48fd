/// The date of a `Date` field, RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
public struct HTTPDate: Sendable, Equatable {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    public let seconds: Int
    /// `Date: …`, CRLF included, ready to be copied.
    let line: [UInt8]

    /// The date of a point in time. Negative values, which only a broken clock gives, count as 1970.
    public init(secondsSinceEpoch seconds: Int) {
        self.seconds = seconds
        let seconds = max(0, seconds)
        let days = seconds / 86400
        let time = seconds % 86400

        // The civil calendar from a day number: years start in March, so that the leap day comes last.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)

        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        var line = Array("Date: \(weekdays[days % 7]), ".utf8)
        line.appendDecimal(day, digits: 2)
        line += Array(" \(months[month - 1]) ".utf8)
        line.appendDecimal(year, digits: 4)
        line.append(.space)
        line.appendDecimal(time / 3600, digits: 2)
        line.append(UInt8(ascii: ":"))
        line.appendDecimal(time / 60 % 60, digits: 2)
        line.append(UInt8(ascii: ":"))
        line.appendDecimal(time % 60, digits: 2)
        line += Array(" GMT\r\n".utf8)
        self.line = line
    }

    /// The date without the field's name.
    public var text: String { String(decoding: line.dropFirst(6).dropLast(2), as: UTF8.self) }
}

extension [UInt8] {
    /// Appends `value`, with zeros in front up to `digits`.
    mutating func appendDecimal(_ value: Int, digits: Int = 1) {
        var divisor = 1
        var count = 1
        while value / divisor >= 10 || count < digits {
            divisor *= 10
            count += 1
        }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}
