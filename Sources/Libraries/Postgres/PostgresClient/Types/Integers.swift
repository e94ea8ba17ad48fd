extension FixedWidthInteger where Self: PostgresCodable {
    /// The value's digits.
    public func postgresText() throws -> String? { String(self) }

    /// Reads an integer, or a `numeric` without a fraction, that fits.
    public static func decode(_ value: PostgresValue) throws -> Self {
        let text = try value.text(of: .int8, .int4, .int2, .numeric, .oid)
        if let number = Self(text) { return number }
        // `numeric` keeps the zeros behind the point: 12.00 is 12.
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let digits = parts[0].first == "-" ? parts[0].dropFirst() : parts[0]
        let isNumber =
            text == "NaN" || text.hasSuffix("Infinity") || (!digits.isEmpty && digits.utf8.allSatisfy(isDigit))
        guard isNumber else { throw PostgresDecodingError.Reason.malformed }
        guard parts.count == 2, parts[1].utf8.allSatisfy({ $0 == UInt8(ascii: "0") }), let number = Self(parts[0])
        else {
            throw PostgresDecodingError.Reason.outOfRange
        }
        return number
    }
}

/// Whether it is an ASCII digit.
func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

extension Int: PostgresCodable {
    /// `bigint`.
    public static var postgresType: PostgresType { .int8 }
}

extension Int64: PostgresCodable {
    /// `bigint`.
    public static var postgresType: PostgresType { .int8 }
}

extension Int32: PostgresCodable {
    /// `integer`.
    public static var postgresType: PostgresType { .int4 }
}

extension Int16: PostgresCodable {
    /// `smallint`.
    public static var postgresType: PostgresType { .int2 }
}

extension Int8: PostgresCodable {
    /// `smallint`.
    public static var postgresType: PostgresType { .int2 }
}

extension UInt8: PostgresCodable {
    /// `smallint`.
    public static var postgresType: PostgresType { .int2 }
    /// `bytea`: an array of bytes is binary data.
    public static var postgresArrayType: PostgresType { .bytea }
}

extension UInt16: PostgresCodable {
    /// `integer`.
    public static var postgresType: PostgresType { .int4 }
}

extension UInt32: PostgresCodable {
    /// `bigint`.
    public static var postgresType: PostgresType { .int8 }
}

extension UInt64: PostgresCodable {
    /// Inferred: no integer type holds all values, and as `numeric` it could use no index of a `bigint` column.
    public static var postgresType: PostgresType { .inferred }
}

extension UInt: PostgresCodable {
    /// Inferred: no integer type holds all values, and as `numeric` it could use no index of a `bigint` column.
    public static var postgresType: PostgresType { .inferred }
}

extension Int128: PostgresCodable {
    /// `numeric`.
    public static var postgresType: PostgresType { .numeric }
}

extension UInt128: PostgresCodable {
    /// `numeric`.
    public static var postgresType: PostgresType { .numeric }
}
