#if Foundation
    public import Foundation

    extension Decimal: PostgresCodable {
        /// `numeric`.
        public static var postgresType: PostgresType { .numeric }

        /// The digits; `NaN` for that.
        public func postgresText() throws -> String? { isNaN ? "NaN" : description }

        /// Reads `numeric` and the integers, exactly: a value of more than 38 digits, or an infinite one, is out of range.
        public static func decode(_ value: PostgresValue) throws -> Decimal {
            let text = try value.text(of: .numeric, .int8, .int4, .int2)
            if text == "NaN" { return .nan }
            if text.hasSuffix("Infinity") { throw PostgresDecodingError.Reason.outOfRange }
            let digits = text.utf8.filter { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "-") }
            guard !digits.isEmpty, digits.allSatisfy(isDigit) else { throw PostgresDecodingError.Reason.malformed }
            // Foundation rounds what it cannot hold, and does not say so.
            let significant = significantDigits(digits)
            guard significant <= 38, let number = Decimal(string: text) else {
                throw PostgresDecodingError.Reason.outOfRange
            }
            guard digits.contains(where: { $0 != UInt8(ascii: "0") }) == !number.isZero else {
                throw PostgresDecodingError.Reason.outOfRange
            }
            return number
        }

        private static func significantDigits(_ digits: [UInt8]) -> Int {
            let isZero = { (digit: UInt8) in digit == UInt8(ascii: "0") }
            let leading = digits.prefix(while: isZero).count
            return digits.count - leading - digits.reversed().prefix(while: isZero).count
        }
    }
#endif
