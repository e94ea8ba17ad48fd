#if Foundation
    public import Foundation

    extension Date: PostgresCodable {
        /// `timestamp with time zone`.
        public static var postgresType: PostgresType { .timestamptz }

        /// The time in UTC, to the microsecond, which is PostgreSQL's resolution. A date holds seconds as a `Double`: it
        /// tells microseconds apart from the year 1729 to 2273.
        ///
        /// - Throws: ``PostgresEncodingError`` for a time that is not finite, or not in the years 1 to 9999.
        public func postgresText() throws -> String? {
            // Split before it is multiplied, which would round.
            let seconds = timeIntervalSinceReferenceDate.rounded(.down)
            let fraction = ((timeIntervalSinceReferenceDate - seconds) * 1_000_000).rounded()
            guard let whole = Int64(exactly: seconds), abs(whole) < Self.limit,
                let text = TimestampText.text(
                    of: (whole + Self.referenceDate) * 1_000_000 + Int64(fraction))
            else { throw PostgresEncodingError("a date outside the years 1 to 9999") }
            return text
        }

        /// 2001-01-01 in seconds since 1970.
        private static let referenceDate: Int64 = 978_307_200
        /// More seconds than 9999 years have.
        private static let limit: Int64 = 400_000_000_000

        /// Reads `timestamp with time zone`; `timestamp` and `date` as UTC.
        public static func decode(_ value: PostgresValue) throws -> Date {
            let text = try value.text(of: .timestamptz, .timestamp, .date)
            let microseconds = try TimestampText.microseconds(in: text)
            let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
            return Date(
                timeIntervalSinceReferenceDate: Double(seconds - referenceDate) + Double(rest) / 1_000_000)
        }
    }
#endif
