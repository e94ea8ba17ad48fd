internal import DispatchPostgres
internal import PostgresSession

/// The session's parameters that determine how values are written.
enum SessionParameters {
    /// Set at log-in. `client_encoding` is libpq's own parameter, which the configuration sets.
    static let pinned = [
        ("DateStyle", "ISO"), ("IntervalStyle", "iso_8601"), ("TimeZone", "UTC"), ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
    ]

    /// Puts back what the log-in set.
    static let reset = Statement(
        "reset client_encoding; " + pinned.map { "reset \($0.0)" }.joined(separator: "; "))

    /// Whether all that the server reports are as the log-in set them. It does not report `bytea_output`, whose values are
    /// read in both forms, nor `extra_float_digits`.
    @LoopActor
    static func arePinned(_ connection: PooledConnection) -> Bool { arePinned { connection.reports($0, is: $1) } }

    /// The same for a session that is set up.
    @LoopActor
    static func arePinned(_ connection: PostgresConnection) -> Bool {
        arePinned { connection.reports($0, is: $1, otherwise: true) }
    }

    @LoopActor
    private static func arePinned(_ reports: @LoopActor (_ name: String, _ value: String) -> Bool) -> Bool {
        reports("client_encoding", "UTF8") && reports("TimeZone", "UTC") && reports("IntervalStyle", "iso_8601")
            // The order of day and month is how dates are read, where it is ambiguous.
            && ["ISO, MDY", "ISO, DMY", "ISO, YMD"].contains { reports("DateStyle", $0) }
    }

    @LoopActor
    static func isUTF8(_ connection: PooledConnection) -> Bool { connection.reports("client_encoding", is: "UTF8") }

    static let encodingError = PostgresClientError(
        .misuse, isSafeToRetry: false,
        text: "a statement has changed client_encoding, in which values can be neither sent nor read; it is UTF8 again")
}
