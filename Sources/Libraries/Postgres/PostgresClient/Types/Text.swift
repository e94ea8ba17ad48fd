extension String: PostgresCodable {
    /// Inferred: a text can stand for a value of each type, as a literal in quotes does, such as a `uuid`, an `enum` or
    /// `jsonb`. `text` where nothing says what it is.
    public static var postgresType: PostgresType { .inferred }

    /// Itself. A text with a NUL fails the statement before it is sent: PostgreSQL's text has none.
    public func postgresText() throws -> String? { self }

    /// Reads values of all types, as the server writes them.
    public static func decode(_ value: PostgresValue) throws -> String {
        guard let text = value.text else { throw PostgresDecodingError.Reason.isNull }
        return text
    }
}

extension Bool: PostgresCodable {
    /// `boolean`.
    public static var postgresType: PostgresType { .bool }

    /// `t` or `f`.
    public func postgresText() throws -> String? { self ? "t" : "f" }

    /// Reads `boolean`.
    public static func decode(_ value: PostgresValue) throws -> Bool {
        switch try value.text(of: .bool) {
        case "t": true
        case "f": false
        default: throw PostgresDecodingError.Reason.malformed
        }
    }
}

/// A JSON text, for columns of type `json` and `jsonb`: for a service that has its own encoder, or passes JSON on. The
/// package trait `Foundation` adds `JSON`, which encodes and decodes `Codable` values.
public struct JSONText: PostgresCodable, Hashable, Sendable {
    /// The text; not checked here.
    public var text: String

    /// Creates a value from a text.
    public init(_ text: String) { self.text = text }

    /// Inferred: the column says whether it is `json`, which keeps the text, or `jsonb`, which keeps the meaning.
    public static var postgresType: PostgresType { .inferred }

    /// The text.
    public func postgresText() throws -> String? { text }

    /// Reads `json`, `jsonb` and `text`.
    public static func decode(_ value: PostgresValue) throws -> JSONText {
        JSONText(try value.text(of: .jsonb, .json, .text))
    }
}
