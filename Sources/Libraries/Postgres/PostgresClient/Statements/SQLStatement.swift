internal import PostgresSession

/// A statement and its parameters.
///
/// An interpolated value becomes a parameter, never a part of the SQL:
///
/// ```swift
/// try await client.query("select name from users where id = \(id) and mood = \(mood)")
/// ```
///
/// | in the literal | becomes |
/// |---|---|
/// | `\(value)` | a parameter of the value's ``PostgresEncodable/postgresType`` |
/// | `\(value, as: .int4)` | a parameter of this type |
/// | `\(identifier: name)` | a name in quotes: of a table, a column, a role |
/// | `\(unescaped: sql)` | SQL as it is: never from outside |
public struct SQLStatement: Sendable, Hashable {
    /// The SQL, with `$1`, `$2` … for the parameters.
    public private(set) var sql: String
    /// Whether sessions keep the statement prepared, which costs the first use a little more and later ones less. By
    /// default, if it has parameters, and no SQL that is put together at run time. A session keeps 64 statements.
    public var isPrepared: Bool

    private(set) var parameters: [String?] = []
    private(set) var types: [UInt32] = []
    /// Why a value has no text; the first one's reason.
    private(set) var fault: PostgresEncodingError?

    /// The statement as the session takes it.
    ///
    /// - Throws: ``PostgresEncodingError`` for a value that has no text; ``PostgresClientError`` for LISTEN and UNLISTEN; the
    ///   session's errors for too many parameters and for a NUL.
    func encoded() throws -> Statement {
        if let fault { throw fault }
        if sql.beginsWithListen { throw PostgresClientError.listensOnLease }
        if parameters.isEmpty, !isPrepared, !sql.utf8.contains(0) { return Statement(sql) }
        let areInferred = types.allSatisfy { $0 == 0 }
        return try Statement(
            sql, parameters: parameters, types: areInferred ? [] : types, isPrepared: isPrepared)
    }

    /// Creates a statement without parameters from SQL that is put together at run time. Several, separated by semicolons,
    /// run as one transaction.
    public init(unescaped sql: String) {
        self.sql = sql
        isPrepared = false
    }

    /// Creates a statement with the values of `$1`, `$2` …
    ///
    /// ```swift
    /// try SQLStatement("select * from users where id = $1", parameters: [id])
    /// ```
    ///
    /// - Throws: ``PostgresEncodingError``, or what the encoding of your own types throws.
    public init(_ sql: String, parameters: [any PostgresEncodable]) throws {
        self.sql = sql
        isPrepared = !parameters.isEmpty
        for value in parameters {
            self.parameters.append(try value.postgresText())
            types.append(type(of: value).postgresType.oid)
        }
    }

    fileprivate init(_ parts: StringInterpolation) {
        sql = parts.sql
        parameters = parts.parameters
        types = parts.types
        fault = parts.fault
        isPrepared = !parts.parameters.isEmpty && parts.isFixed
    }
}

extension SQLStatement: ExpressibleByStringInterpolation {
    /// Creates a statement without parameters.
    public init(stringLiteral sql: String) {
        self.init(unescaped: sql)
    }

    /// Creates a statement from a literal with values.
    public init(stringInterpolation: StringInterpolation) {
        self.init(stringInterpolation)
    }

    /// Collects the parts of a literal.
    public struct StringInterpolation: StringInterpolationProtocol, Sendable {
        fileprivate var sql = ""
        fileprivate var parameters: [String?] = []
        fileprivate var types: [UInt32] = []
        fileprivate var fault: PostgresEncodingError?
        /// Whether all SQL is of literals.
        fileprivate var isFixed = true

        /// Begins a literal.
        public init(literalCapacity: Int, interpolationCount: Int) {
            sql.reserveCapacity(literalCapacity + 3 * interpolationCount)
            parameters.reserveCapacity(interpolationCount)
            types.reserveCapacity(interpolationCount)
        }

        /// Appends SQL.
        public mutating func appendLiteral(_ literal: String) { sql += literal }

        /// Appends a parameter. A value that cannot be encoded fails the statement before it is sent.
        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
            append(value, Value.postgresType)
        }

        /// Appends a parameter of another type than the value's own, for instance where a function wants an `integer`.
        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value, as type: PostgresType) {
            append(value, type)
        }

        // Overloads for optionals: otherwise the compiler warns of each that it is interpolated.

        /// Appends a parameter; NULL for `nil`.
        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            append(value, Value.postgresType)
        }

        /// Appends a parameter of another type than the value's own; NULL for `nil`.
        public mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?, as type: PostgresType) {
            append(value, type)
        }

        private mutating func append(_ value: any PostgresEncodable, _ type: PostgresType) {
            do { parameters.append(try value.postgresText()) } catch {
                parameters.append(nil)
                let reason = "the value of $\(parameters.count) cannot be encoded"
                // Another error's text may contain the value.
                let cause = (error as? PostgresEncodingError)?.reason ?? "its encoding threw \(Swift.type(of: error))"
                if fault == nil { fault = PostgresEncodingError("\(reason): \(cause)") }
            }
            types.append(type.oid)
            sql += "$\(parameters.count)"
        }

        /// Appends a name in quotes; those in it are doubled. Letters keep their case.
        public mutating func appendInterpolation(identifier: String) {
            sql += SQLStatement.quoted(identifier)
            isFixed = false
            if identifier.isEmpty, fault == nil { fault = PostgresEncodingError("an identifier is empty") }
        }

        /// Appends SQL as it is. For SQL of your own program only: a text from outside could be any statement.
        public mutating func appendInterpolation(unescaped sql: String) {
            self.sql += sql
            isFixed = false
        }
    }

    fileprivate static func quoted(_ name: String) -> String {
        "\"" + name.flatMap { $0 == "\"" ? ["\"", "\""] : [$0] } + "\""
    }
}

extension SQLStatement: CustomStringConvertible, CustomDebugStringConvertible {
    /// The SQL, without the values, which may be secret.
    public var description: String { sql }

    /// The SQL and the values.
    public var debugDescription: String {
        let values = zip(parameters, types).enumerated().map { index, parameter in
            "$\(index + 1): \(parameter.0.map { "\"\($0)\"" } ?? "NULL") (\(PostgresType(oid: parameter.1)))"
        }
        return ([sql] + values).joined(separator: "; ")
    }
}
