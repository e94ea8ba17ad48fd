internal import DispatchPostgres
internal import PostgresSession

extension PostgresClientError {
    /// What a failure of the pool or of a session means for the caller.
    ///
    /// - Parameters:
    ///   - isIdempotent: the caller says that running the statement twice does no harm.
    ///   - isInTransaction: the statement ran in a transaction that was not committed: whatever happens, the server undoes
    ///     it.
    init(_ error: any Error, isIdempotent: Bool, isInTransaction: Bool = false) {
        switch error {
        case let error as PostgresClientError: self = error
        case let error as PoolError: self.init(error)
        case let error as PostgresError:
            self.init(error, isIdempotent: isIdempotent, isInTransaction: isInTransaction)
        case let error as PostgresEncodingError:
            self.init(.invalidStatement, isSafeToRetry: false, text: error.reason)
        default: self.init(.invalidStatement, isSafeToRetry: false, text: "\(type(of: error))")
        }
    }

    init(_ refusal: PoolError) {
        let isCancelled = refusal.kind == .cancelled
        self.init(
            isCancelled ? .cancelled : .unavailable, cause: refusal.cause, refusal: refusal, isSafeToRetry: !isCancelled
        )
    }

    private init(_ error: PostgresError, isIdempotent: Bool, isInTransaction: Bool) {
        let hasNoEffect = isIdempotent || isInTransaction || error.wasNeverSent
        switch error.code {
        case PostgresError.Code.tooManyParameters, PostgresError.Code.nulCharacter:
            self.init(.invalidStatement, cause: error, isSafeToRetry: false)
        case PostgresError.Code.busy:
            self.init(.misuse, cause: error, isSafeToRetry: false)
        case PostgresError.Code.queryTimeout: self.init(.timedOut, cause: error, isSafeToRetry: hasNoEffect)
        case PostgresError.Code.cancelled: self.init(.cancelled, cause: error, isSafeToRetry: false)
        // The pool's own, of a statement or a name that it refuses.
        case let code where error.disposition == .statement && error.wasNeverSent && code != PostgresError.Code.closed:
            self.init(.invalidStatement, cause: error, isSafeToRetry: false)
        default:
            guard error.endsSession else {
                self.init(.rejected, cause: error, isSafeToRetry: error.isUndoneForPassingReason)
                return
            }
            self.init(.connectionLost, cause: error, isSafeToRetry: hasNoEffect)
        }
    }
}

extension PostgresError {
    /// Whether the server undid the statement, and its transaction, for a reason that may be gone at the next attempt.
    var isUndoneForPassingReason: Bool {
        guard let state = sqlState else { return false }
        return [.serializationFailure, .deadlockDetected, .transactionRollback, .lockNotAvailable].contains(state)
    }

    /// Whether a transaction that fails with it should run again: 40001 and 40P01.
    var asksForNewTransaction: Bool { sqlState == .serializationFailure || sqlState == .deadlockDetected }
}
