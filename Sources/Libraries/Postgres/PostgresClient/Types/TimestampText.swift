/// The texts of `date`, `timestamp` and `timestamp with time zone` in `DateStyle` ISO, in microseconds since 1970 in UTC.
/// Pure, and without Foundation's formatters.
enum TimestampText {
    private static let day: Int64 = 86_400_000_000

    /// `2026-11-27 20:12:33.000001+00`; `nil` outside the years 1 to 9999.
    static func text(of microseconds: Int64) -> String? {
        var (days, time) = microseconds.quotientAndRemainder(dividingBy: day)
        if time < 0 { (days, time) = (days - 1, time + day) }
        let (year, month, dayOfMonth) = civil(fromDays: days)
        guard (1...9_999).contains(year) else { return nil }
        let (seconds, fraction) = time.quotientAndRemainder(dividingBy: 1_000_000)
        let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))"
        let clock = "\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        return "\(date) \(clock).\(padded(fraction, 6))+00"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    /// Reads a time; without a time zone as UTC, without a time of day as midnight.
    ///
    /// - Throws: `notADate` for `infinity`, `-infinity` and years outside 1 to 9999; `malformed` for another form.
    static func microseconds(in text: String) throws(PostgresDecodingError.Reason) -> Int64 {
        if text == "infinity" || text == "-infinity" || text.hasSuffix(" BC") { throw .notADate }
        var rest = Substring(text).utf8
        let year = try number(&rest, digits: 4...7)
        guard year <= 9_999 else { throw .notADate }
        try skip("-", &rest)
        let month = try number(&rest, digits: 2...2)
        try skip("-", &rest)
        let dayOfMonth = try number(&rest, digits: 2...2)
        guard (1...12).contains(month), (1...31).contains(dayOfMonth) else { throw .malformed }
        var time = days(year, month, dayOfMonth) * day
        if rest.isEmpty { return time }
        try skip(" ", &rest)
        let hour = try number(&rest, digits: 2...2)
        try skip(":", &rest)
        let minute = try number(&rest, digits: 2...2)
        try skip(":", &rest)
        let second = try number(&rest, digits: 2...2)
        time += ((hour * 60 + minute) * 60 + second) * 1_000_000
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            let before = rest.count
            var fraction = try number(&rest, digits: 1...6)
            for _ in before - rest.count..<6 { fraction *= 10 }
            time += fraction
        }
        if let sign = rest.first {
            guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else { throw .malformed }
            rest = rest.dropFirst()
            var offset = try number(&rest, digits: 2...2) * 3_600
            for unit: Int64 in [60, 1] where rest.first == UInt8(ascii: ":") {
                rest = rest.dropFirst()
                offset += try number(&rest, digits: 2...2) * unit
            }
            time += (sign == UInt8(ascii: "+") ? -offset : offset) * 1_000_000
        }
        guard rest.isEmpty else { throw .malformed }
        return time
    }

    private static func number(
        _ text: inout Substring.UTF8View, digits: ClosedRange<Int>
    ) throws(PostgresDecodingError.Reason) -> Int64 {
        let found = text.prefix(while: isDigit)
        guard digits.contains(found.count) else { throw .malformed }
        text = text[found.endIndex...]
        return found.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }

    private static func skip(
        _ character: Unicode.Scalar, _ text: inout Substring.UTF8View
    ) throws(PostgresDecodingError.Reason) {
        guard let first = text.first, first == UInt8(ascii: character) else { throw .malformed }
        text = text.dropFirst()
    }

    // Both from Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": the proleptic Gregorian calendar.

    /// Days from 1970-01-01.
    static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let days = days + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}
