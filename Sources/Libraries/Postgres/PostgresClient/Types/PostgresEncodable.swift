/// A value that a statement can take as a parameter: Bool, the integers, Float, Double, String, `[UInt8]` (`bytea`),
/// ``JSONText``, arrays and optionals of these; with the package trait `Foundation` also UUID, Date, Decimal, Data and
/// `JSON`.
///
/// Enumerations conform without further code:
///
/// ```swift
/// enum Mood: String, PostgresCodable { case happy, sad }
/// ```
public protocol PostgresEncodable {
    /// The type that the parameter is sent with. The server converts from it to a column's type where SQL does so without a
    /// cast; elsewhere cast in the statement (`$1::integer`), or name another type (`\(value, as: .int4)`).
    static var postgresType: PostgresType { get }
    /// The type of arrays of these values. By default ``PostgresType/array`` of ``postgresType``.
    static var postgresArrayType: PostgresType { get }
    /// The value's text, as the type reads it; `nil` is NULL.
    ///
    /// - Throws: ``PostgresEncodingError``, or an error of your own, if the type has no such value. The statement then fails
    ///   before it is sent.
    func postgresText() throws -> String?
}

extension PostgresEncodable {
    /// ``PostgresType/array`` of ``postgresType``.
    public static var postgresArrayType: PostgresType { postgresType.array }
}

/// A value that can be a parameter and be read from a row.
public typealias PostgresCodable = PostgresDecodable & PostgresEncodable

/// A value that PostgreSQL has no text for.
public struct PostgresEncodingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Why. Does not contain the value.
    public let reason: String

    /// Creates an error; `reason` must not contain the value.
    public init(_ reason: String) { self.reason = reason }

    /// The reason.
    public var description: String { reason }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    /// That of the wrapped type.
    public static var postgresType: PostgresType { Wrapped.postgresType }
    /// That of the wrapped type: elements may be NULL in every array.
    public static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }
    /// The wrapped value's text; NULL for `nil`.
    public func postgresText() throws -> String? { try flatMap { try $0.postgresText() } }
}

extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    /// That of the raw value.
    public static var postgresType: PostgresType { RawValue.postgresType }
    /// That of the raw value.
    public static var postgresArrayType: PostgresType { RawValue.postgresArrayType }
    /// The raw value's text.
    public func postgresText() throws -> String? { try rawValue.postgresText() }
}
