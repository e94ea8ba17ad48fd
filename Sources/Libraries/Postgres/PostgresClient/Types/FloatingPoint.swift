extension Double: PostgresCodable {
    /// `double precision`.
    public static var postgresType: PostgresType { .float8 }

    /// The shortest text that gives the same value again.
    public func postgresText() throws -> String? { text(of: self) }

    /// Reads `double precision`, `real`, `integer` and `smallint`, which it holds exactly. A `bigint` or `numeric` may need
    /// rounding; cast it in the statement (`::float8`).
    public static func decode(_ value: PostgresValue) throws -> Double {
        let text = try value.text(of: .float8, .float4, .int4, .int2)
        // The text of a `real` is its shortest in that precision, which means another value in this one.
        if value.type == .float4 { return Double(try number(in: text, as: Float.self)) }
        return try number(in: text, as: Double.self)
    }
}

extension Float: PostgresCodable {
    /// `real`.
    public static var postgresType: PostgresType { .float4 }

    /// The shortest text that gives the same value again.
    public func postgresText() throws -> String? { text(of: self) }

    /// Reads `real` and `smallint`, which it holds exactly.
    public static func decode(_ value: PostgresValue) throws -> Float {
        try number(in: try value.text(of: .float4, .int2), as: Float.self)
    }
}

private func text<Number: BinaryFloatingPoint & CustomStringConvertible>(of number: Number) -> String {
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
    return number.description
}

private func number<Number: BinaryFloatingPoint & LosslessStringConvertible>(
    in text: String, as type: Number.Type
) throws -> Number {
    switch text {
    case "NaN": return .nan
    case "Infinity": return .infinity
    case "-Infinity": return -.infinity
    default:
        // Digits, sign, point and exponent only: Swift reads hexadecimal and other words, too.
        guard text.utf8.allSatisfy({ isDigit($0) || "+-.e".utf8.contains($0) }), let number = Number(text) else {
            throw PostgresDecodingError.Reason.malformed
        }
        return number
    }
}
