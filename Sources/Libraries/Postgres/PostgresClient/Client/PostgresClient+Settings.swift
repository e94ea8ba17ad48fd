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
        /// How long a lease may last before the client calls ``onLongLease``; `nil` for no limit.
        public var leaseWarning: Duration? = .seconds(30)
        /// Receives a lease that has lasted longer than ``leaseWarning``, with the source location that began it. The client
        /// calls it once per lease, in a separate task.
        public var onLongLease: (@Sendable (LongLease) -> Void)?
        /// Whether the client sets, at log-in, the settings of the session that determine how values are written:
        /// `DateStyle` ISO, `IntervalStyle` iso_8601, `TimeZone` UTC, `bytea_output` hex, `extra_float_digits` 1 and
        /// `client_encoding` UTF8. They take precedence over those of the server, the database and the role.
        ///
        /// They are sent as the startup parameter `options`, which PgBouncer refuses unless its
        /// `ignore_startup_parameters` names it: then set them for the role or the database, and this to `false`.
        public var pinsSessionParameters = true

        // MARK: Hooks, which run in tasks of the client's, and never on its event loop

        /// Prepares each new connection before its first lease: `SET ROLE`, `SET search_path`, warming up. Called once
        /// for each session, those of subscriptions included, and after each lease if ``resetOnReturn`` is
        /// ``SessionReset/discardAll``.
        ///
        /// When it throws, takes longer than ``onConnectTimeout`` (its task is then cancelled), or leaves a transaction
        /// open, the connection is closed, and counts as a connect that failed: other connections serve, and the client
        /// tries again, less and less often. Without another connection the database counts as down, with the error as
        /// the cause: the server's, or `SETUP_FAILED` with the type of the error.
        public var onConnect: (@Sendable (borrowing PostgresNewConnection) async throws -> Void)?
        /// How long ``onConnect`` may take. Nobody can lease the connection meanwhile.
        public var onConnectTimeout: Duration = .seconds(10)
        /// What is done with a connection that comes back.
        public var resetOnReturn = SessionReset.rollBackOnly
        /// Gives the password for each log-in, instead of the configuration's and of a password file: for tokens that
        /// live for minutes. Called before each connect, also when several run at once: cache what is dear to get.
        ///
        /// When it throws, or takes longer than ``passwordTimeout`` (its task is then cancelled), the connect has failed
        /// with `PASSWORD_PROVIDER`. It is then not called for 250 ms, and, as long as no connection is open, the
        /// database counts as down. Neither errors nor logs hold what it gives, or the text of what it throws.
        public var passwordProvider: (@Sendable () async throws -> String)?
        /// How long ``passwordProvider`` may take. It is not part of the pool's time for connecting.
        public var passwordTimeout: Duration = .seconds(5)
        /// Receives the server's notices and warnings, with the statement that caused them. `client_min_messages`
        /// determines which ones the server sends.
        ///
        /// The client calls it in order, one call at a time. During a slow call, up to 1024 notices wait; the client drops
        /// further ones, and the next notice reports how many. No statement waits for the call or fails because of it.
        public var onNotice: (@Sendable (Notice) async -> Void)?
        /// Receives each finished statement: the callers', and the client's own BEGIN, COMMIT and SAVEPOINT. Excludes
        /// statements in ``onConnect``, statements between leases, and statements that cannot be sent.
        ///
        /// The client calls it as it calls ``onNotice``: in order, with up to 1024 reports waiting. The last calls may come
        /// after ``PostgresClient/run()`` has returned.
        public var onStatement: (@Sendable (StatementReport) async -> Void)?

        /// The defaults.
        public init() {}

        /// The fault in the settings, as a message for people; `nil` if they are valid.
        public var problem: String? {
            if let problem = pool.problem { return problem }
            if timeout <= .zero { return "the client's timeout must be greater than zero" }
            if shutdownGrace < .zero { return "the client's shutdown grace must not be negative" }
            if onConnectTimeout <= .zero { return "the client's time for onConnect must be greater than zero" }
            if passwordTimeout <= .zero { return "the client's time for the password must be greater than zero" }
            if case .statement(let sql) = resetOnReturn, sql.utf8.contains(0) {
                return "the client's statement on return must not hold a NUL"
            }
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
        /// The age of the lease at the time of the call.
        public let duration: Duration
        /// The process id of the backend, as in `pg_stat_activity`; `nil` once lost.
        public let backendProcessID: Int32?
    }
}
