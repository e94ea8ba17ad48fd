/// A type of PostgreSQL, by its OID (`pg_type.oid`).
public struct PostgresType: Hashable, Sendable {
    /// The OID; 0 leaves the type to the server, which infers it from the statement.
    public let oid: UInt32
    /// Whether it is known to be an array's type.
    let isArray: Bool

    /// The type with this OID.
    public init(oid: UInt32) {
        self.oid = oid
        isArray = Self.elements[oid] != nil
    }

    private init(oid: UInt32, isArray: Bool) {
        self.oid = oid
        self.isArray = isArray
    }

    /// The server infers the type: from the column or the function's parameter that the value meets; `text` if nothing
    /// says what it is.
    public static let inferred = PostgresType(oid: 0, isArray: false)

    /// `boolean`.
    public static let bool = PostgresType(oid: 16)
    /// `bytea`.
    public static let bytea = PostgresType(oid: 17)
    /// `bigint`.
    public static let int8 = PostgresType(oid: 20)
    /// `smallint`.
    public static let int2 = PostgresType(oid: 21)
    /// `integer`.
    public static let int4 = PostgresType(oid: 23)
    /// `text`.
    public static let text = PostgresType(oid: 25)
    /// `oid`.
    public static let oid = PostgresType(oid: 26)
    /// `json`.
    public static let json = PostgresType(oid: 114)
    /// `real`.
    public static let float4 = PostgresType(oid: 700)
    /// `double precision`.
    public static let float8 = PostgresType(oid: 701)
    /// `character(n)`.
    public static let bpchar = PostgresType(oid: 1042)
    /// `character varying(n)`.
    public static let varchar = PostgresType(oid: 1043)
    /// `date`.
    public static let date = PostgresType(oid: 1082)
    /// `time`.
    public static let time = PostgresType(oid: 1083)
    /// `timestamp`, without time zone.
    public static let timestamp = PostgresType(oid: 1114)
    /// `timestamp with time zone`.
    public static let timestamptz = PostgresType(oid: 1184)
    /// `interval`.
    public static let interval = PostgresType(oid: 1186)
    /// `numeric`.
    public static let numeric = PostgresType(oid: 1700)
    /// `uuid`.
    public static let uuid = PostgresType(oid: 2950)
    /// `jsonb`.
    public static let jsonb = PostgresType(oid: 3802)

    /// The type of arrays of this type. ``inferred`` for a type whose array type is not known here.
    public var array: PostgresType {
        PostgresType(oid: Self.builtIn.first { $0.oid == oid }?.array ?? 0, isArray: true)
    }

    /// The type of an array's elements; ``inferred`` when it is not known here, as for types that a database defines.
    var element: PostgresType { PostgresType(oid: Self.elements[oid] ?? 0) }

    /// Whether the database defines it: OIDs below are the server's own (FirstNormalObjectId in transam.h). Every
    /// database may define others, so values of these types are read by their text alone.
    var isUserDefined: Bool { oid >= 16_384 || oid == 0 }

    /// The name as in `pg_type`; `nil` for one that is not known here.
    public var name: String? {
        if let name = Self.builtIn.first(where: { $0.oid == oid })?.name { return name }
        return Self.elements[oid].map { PostgresType(oid: $0) }?.name.map { $0 + "[]" }
    }

    /// `pg_type` of PostgreSQL 15: fixed for all versions, since clients rely on them.
    private static let builtIn: [(oid: UInt32, array: UInt32, name: String)] = [
        (16, 1000, "bool"), (17, 1001, "bytea"), (18, 1002, "char"), (19, 1003, "name"), (20, 1016, "int8"),
        (21, 1005, "int2"), (23, 1007, "int4"), (25, 1009, "text"), (26, 1028, "oid"), (27, 1010, "tid"),
        (28, 1011, "xid"), (29, 1012, "cid"), (114, 199, "json"), (142, 143, "xml"), (600, 1017, "point"),
        (601, 1018, "lseg"), (602, 1019, "path"), (603, 1020, "box"), (604, 1027, "polygon"), (628, 629, "line"),
        (650, 651, "cidr"), (700, 1021, "float4"), (701, 1022, "float8"), (705, 0, "unknown"), (718, 719, "circle"),
        (774, 775, "macaddr8"), (790, 791, "money"), (829, 1040, "macaddr"), (869, 1041, "inet"),
        (1042, 1014, "bpchar"), (1043, 1015, "varchar"), (1082, 1182, "date"), (1083, 1183, "time"),
        (1114, 1115, "timestamp"), (1184, 1185, "timestamptz"), (1186, 1187, "interval"), (1266, 1270, "timetz"),
        (1560, 1561, "bit"), (1562, 1563, "varbit"), (1700, 1231, "numeric"), (2202, 2207, "regprocedure"),
        (2205, 2210, "regclass"), (2206, 2211, "regtype"), (2249, 2287, "record"), (2278, 0, "void"),
        (2950, 2951, "uuid"), (3220, 3221, "pg_lsn"), (3614, 3643, "tsvector"), (3615, 3645, "tsquery"),
        (3802, 3807, "jsonb"), (3904, 3905, "int4range"), (3906, 3907, "numrange"), (3908, 3909, "tsrange"),
        (3910, 3911, "tstzrange"), (3912, 3913, "daterange"), (3926, 3927, "int8range"), (4072, 4073, "jsonpath"),
        (5069, 271, "xid8"),
    ]

    private static let elements = Dictionary(
        builtIn.filter { $0.array != 0 }.map { ($0.array, $0.oid) }, uniquingKeysWith: { first, _ in first })
}

extension PostgresType: CustomStringConvertible {
    /// The name, or the OID of a type that is not known here.
    public var description: String {
        if let name { return name }
        return oid == 0 ? (isArray ? "an array" : "inferred") : "the type with OID \(oid)"
    }
}
