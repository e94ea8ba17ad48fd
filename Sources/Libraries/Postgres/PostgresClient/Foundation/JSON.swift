#if Foundation
    internal import Foundation

    /// A `Codable` value in a column of type `json` or `jsonb`, in the form of Foundation's encoder with its defaults. For
    /// another form, encode it yourself and use ``JSONText``.
    public struct JSON<Value: Codable>: PostgresCodable {
        /// The value.
        public var value: Value

        /// Creates a value.
        public init(_ value: Value) { self.value = value }

        /// Inferred, as for ``JSONText``.
        public static var postgresType: PostgresType { .inferred }

        /// The value's JSON.
        public func postgresText() throws -> String? {
            String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
        }

        /// Reads `json`, `jsonb` and `text`.
        public static func decode(_ value: PostgresValue) throws -> JSON {
            JSON(try JSONDecoder().decode(Value.self, from: Data(try JSONText.decode(value).text.utf8)))
        }
    }

    extension JSON: Sendable where Value: Sendable {}
    extension JSON: Equatable where Value: Equatable {}
    extension JSON: Hashable where Value: Hashable {}
#endif
