public import DispatchPostgres

extension PostgresClient {
    /// How a client behaves. The defaults suit a small service with one database.
    public struct Settings: Sendable {
        /// The pool of connections.
        public var pool = PoolSettings()
        /// How long a statement may take, the wait for a connection included, where the caller sets no other limit.
        public var timeout: Duration = .seconds(10)
        /// How long ``PostgresClient/run()`` waits at its end for connections in use.
        public var shutdownGrace: Duration = .seconds(10)
        /// Whether transactions run again that the server undid because of others, where the caller says nothing else.
        public var transactionRetry: TransactionRetry = .never
        /// How long a connection may be leased before ``onLongLease`` is told. `nil`: without limit.
        public var leaseWarning: Duration? = .seconds(30)
        /// Told of a connection that is leased for longer than ``leaseWarning``, with the place in the source that leased
        /// it. Called once for each, from a task of its own.
        public var onLongLease: (@Sendable (LongLease) -> Void)?
        /// Whether the client sets, at log-in, the settings of the session that determine how values are written:
        /// `DateStyle` ISO, `IntervalStyle` iso_8601, `TimeZone` UTC, `bytea_output` hex, `extra_float_digits` 1 and
        /// `client_encoding` UTF8. They take precedence over those of the server, the database and the role.
        ///
        /// They are sent as the startup parameter `options`, which PgBouncer refuses unless its
        /// `ignore_startup_parameters` names it: then set them for the role or the database, and this to `false`.
        public var pinsSessionParameters = true

        /// The defaults.
        public init() {}

        /// The fault in the settings, as a message for people; `nil` if they are valid.
        public var problem: String? {
            if let problem = pool.problem { return problem }
            if timeout <= .zero { return "the client's timeout must be greater than zero" }
            if shutdownGrace < .zero { return "the client's shutdown grace must not be negative" }
            if let leaseWarning, leaseWarning <= .zero {
                return "the client's lease warning must be greater than zero"
            }
            return nil
        }
    }

    /// A connection that is leased for long.
    public struct LongLease: Sendable, Hashable {
        /// Where it was leased: `Module/File.swift`.
        public let file: String
        /// The line in ``file``.
        public let line: UInt
        /// For how long it was leased when this was told.
        public let duration: Duration
        /// The process id of the backend, as in `pg_stat_activity`; `nil` once lost.
        public let backendProcessID: Int32?
    }
}
