public import DispatchPostgres
public import PostgresSession

/// Why a statement, a connection or a transaction failed.
///
/// ``description`` is safe to log and to show; ``debugDescription`` quotes values.
public struct PostgresClientError: Error, Sendable {
    /// The kind of failure.
    public enum Kind: Sendable, Hashable {
        /// The server rejected the statement; ``PostgresClientError/sqlState`` says why. The connection goes on, unless
        /// the session ended with it.
        case rejected
        /// No connection was available: the database is down, all connections are in use, or the client is not running.
        case unavailable
        /// The session was lost before the server answered.
        case connectionLost
        /// The server did not answer in time.
        case timedOut
        /// The caller's task was cancelled.
        case cancelled
        /// The answer to COMMIT was lost: the transaction may have been committed or not. Look for its effects before
        /// you try again.
        case outcomeUnknown
        /// The server answered COMMIT with ROLLBACK, or undid a savepoint, because a statement had failed whose error
        /// the body did not throw.
        case rolledBack
        /// The statement cannot be sent: a value cannot be encoded, or there are too many.
        case invalidStatement
        /// A connection or transaction was used after its closure had ended, or by two tasks at once; the body of a
        /// transaction ended the transaction itself; a statement changed `client_encoding`; or `LISTEN` was to run on a
        /// connection that others use next: see ``PostgresClient/subscribe(to:timeout:)``.
        case misuse
    }

    /// The kind of failure.
    public let kind: Kind
    /// Whether running the same again cannot do it twice, and may succeed: nothing was sent, the server undid it for a
    /// passing reason (40001, 40P01, 55P03), or the caller said that the statement is idempotent. For an error of a
    /// transaction this holds for the whole transaction.
    public let isSafeToRetry: Bool
    /// An object of its own, because each async frame that may throw the error has room for it.
    private let causes: Causes

    private final class Causes: Sendable {
        let cause: PostgresError?
        let refusal: PoolError?
        let text: String?

        init(_ cause: PostgresError?, _ refusal: PoolError?, _ text: String?) {
            self.cause = cause
            self.refusal = refusal
            self.text = text
        }
    }

    init(
        _ kind: Kind, cause: PostgresError? = nil, refusal: PoolError? = nil, isSafeToRetry: Bool, text: String? = nil
    ) {
        self.kind = kind
        self.isSafeToRetry = isSafeToRetry
        causes = Causes(cause, refusal, text)
    }

    /// What the server said, or what happened to the connection.
    public var cause: PostgresError? { causes.cause }
    /// Why no connection was available.
    public var refusal: PoolError? { causes.refusal }
    private var text: String? { causes.text }
    /// The server's error code; `nil` if the error is not the server's.
    public var sqlState: SQLState? { cause?.sqlState }
}

extension PostgresClientError: CustomStringConvertible, CustomDebugStringConvertible {
    /// What happened, without values of rows and parameters. Names of tables and constraints are in it.
    public var description: String {
        let reason = text ?? refusal.map(\.safeDescription) ?? cause?.safeDescription
        return reason.map { "\(title): \($0)" } ?? title
    }

    /// Everything that is known, with values of rows and parameters. Not for a log that others read.
    public var debugDescription: String {
        let all = [text, refusal.map { "\($0)" }, cause?.debugDescription].compactMap { $0 }
        return "\(title): \(all.joined(separator: "; "))"
    }

    private var title: String {
        switch kind {
        case .rejected: "the database rejected the statement"
        case .unavailable: "no connection to the database"
        case .connectionLost: "the connection to the database was lost"
        case .timedOut: "the database did not answer in time"
        case .cancelled: "cancelled"
        case .outcomeUnknown: "it is not known whether the transaction was committed"
        case .rolledBack: "the transaction was rolled back"
        case .invalidStatement: "the statement cannot be sent"
        case .misuse: "wrong use of a connection"
        }
    }
}
