/// A type that values of a row can be read as.
///
/// Reading is exact: a value that the type cannot hold is an error, and so is a column of another type. Cast in the
/// statement where a conversion is wanted (`avg(price)::float8`). Values of types that the database defines itself, such as
/// an `enum`, are read by their text.
public protocol PostgresDecodable {
    /// Reads a value.
    ///
    /// - Throws: ``PostgresDecodingError/Reason``, or an error of your own; ``Row`` adds the column to it.
    static func decode(_ value: PostgresValue) throws -> Self
}

/// A value as the server sent it.
public struct PostgresValue: Sendable, Hashable {
    /// The value's text; `nil` is NULL.
    public let text: String?
    /// The column's type.
    public let type: PostgresType

    /// Creates a value.
    public init(text: String?, type: PostgresType) {
        self.text = text
        self.type = type
    }

    /// The text.
    ///
    /// - Throws: ``PostgresDecodingError/Reason/isNull``; ``PostgresDecodingError/Reason/wrongType`` if the column has none
    ///   of `types` and no type that the database defines.
    public func text(of types: PostgresType...) throws(PostgresDecodingError.Reason) -> String {
        guard let text else { throw .isNull }
        guard type.isUserDefined || types.contains(where: { $0.oid == type.oid }) else { throw .wrongType }
        return text
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    /// `nil` for NULL.
    public static func decode(_ value: PostgresValue) throws -> Wrapped? {
        value.text == nil ? nil : try Wrapped.decode(value)
    }
}

extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    /// The value with this raw value.
    public static func decode(_ value: PostgresValue) throws -> Self {
        guard let decoded = Self(rawValue: try RawValue.decode(value)) else {
            throw PostgresDecodingError.Reason.unknownRawValue
        }
        return decoded
    }
}
