public import PostgresSession

// What hooks get and may choose. ``PostgresClient/Settings`` has the hooks.
extension PostgresClient {
    /// What the client does with a connection that comes back from a lease, before the next one gets it.
    public enum SessionReset: Sendable, Hashable {
        /// Rolls an open transaction back. Settings, temporary tables and advisory locks stay with the session.
        case rollBackOnly
        /// Then runs `DISCARD ALL`: temporary tables, advisory locks, sequences' state, prepared statements and settings
        /// of the session are gone. Costs a round trip after each lease, and the plans of statements with parameters.
        ///
        /// What ``Settings/pinsSessionParameters`` sets stays, because the log-in sets it. What
        /// ``Settings/onConnect`` did is undone (`SET ROLE` as well), so that it runs again after each lease.
        case discardAll
        /// Then runs these statements, with the simple protocol. If they undo what ``Settings/onConnect`` did, they must
        /// do it again: it does not run again.
        case statement(String)
    }

    /// A notice or a warning of the server.
    public struct Notice: Sendable, Hashable {
        /// How severe: mostly `warning`, `notice` or `info`.
        public let severity: Severity
        /// The code, such as `01000` (warning) or `42710` (that something exists already).
        public let sqlState: SQLState
        /// What the server says; may quote values.
        public let message: String
        /// More of it; may quote values.
        public let detail: String?
        /// What to do about it; may quote values.
        public let hint: String?
        /// The SQL of the statement that caused it, with `$1` for parameters; `nil` if it came with the log-in.
        public let sql: String?
        /// The process id of the backend, as in `pg_stat_activity`.
        public let backendProcessID: Int32
        /// How many notices directly before this one were dropped, because ``Settings/onNotice`` was too slow.
        public let dropped: Int
    }

    /// A statement that has ended.
    public struct StatementReport: Sendable, Hashable {
        /// The SQL, with `$1` for parameters: never their values. Values that your program writes into the SQL itself are
        /// in it.
        public let sql: String
        /// From when a connection had it until its result was there, moves to other connections included. For a stream,
        /// until its end: the reader's time counts.
        public let duration: Duration
        /// The number of rows returned, copied or affected; `nil` if the statement failed or has no such number.
        public let rows: Int?
        /// `nil` if it succeeded. Otherwise the SQLSTATE, or a code of ``PostgresError/Code`` or ``PoolError/code``.
        public let errorCode: String?
        /// Whether it succeeded on another connection, after its own was lost or stalled.
        public let wasSaved: Bool
        /// The process id of the backend that answered; `nil` if the connection was lost, or none was had.
        public let backendProcessID: Int32?
        /// How many reports directly before this one were dropped, because ``Settings/onStatement`` was too slow.
        public let dropped: Int
    }
}
