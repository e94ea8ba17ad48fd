internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// Connects the hooks of the settings to those of the pool.
struct ClientHooks: Sendable {
    let forPool: PoolHooks

    init(_ settings: PostgresClient.Settings) {
        var hooks = PoolHooks()
        hooks.password = settings.passwordProvider
        hooks.passwordTimeout = settings.passwordTimeout
        if settings.onConnect != nil { hooks.setUp = { try await settings.setUp($0) } }
        hooks.setUpTimeout = settings.onConnectTimeout
        switch settings.resetOnReturn {
        case .rollBackOnly: break
        case .discardAll: hooks.reset = PoolHooks.Reset("discard all", undoesSetUp: true)
        case .statement(let sql): hooks.reset = PoolHooks.Reset(sql, undoesSetUp: false)
        }
        if let onNotice = settings.onNotice {
            let relay = HookRelay(onNotice)
            hooks.onNotice = { notice, connection, sql in
                guard let severity = notice.severity, let state = notice.sqlState else { return }
                relay.send { dropped in
                    PostgresClient.Notice(
                        severity: severity, sqlState: state, message: notice.message, detail: notice.detail,
                        hint: notice.hint, sql: sql, backendProcessID: connection.backendProcessID, dropped: dropped)
                }
            }
        }
        if let onStatement = settings.onStatement {
            let relay = HookRelay(onStatement)
            hooks.onStatement = { end in
                relay.send { dropped in
                    PostgresClient.StatementReport(
                        sql: end.sql, duration: end.duration, rows: end.rowCount, errorCode: end.errorCode,
                        wasSaved: end.wasSaved, backendProcessID: end.backendProcessID, dropped: dropped)
                }
            }
        }
        forPool = hooks
    }

    /// Tells of a statement that got no connection.
    @LoopActor
    func gotNoConnection(_ statement: Statement, _ error: PoolError, after wait: Duration) {
        forPool.onStatement?(
            PoolHooks.StatementEnd(
                sql: statement.sql, duration: wait, rowCount: nil, errorCode: error.code, wasSaved: false,
                backendProcessID: nil))
    }
}

/// Gives values to a hook in a task of its own: in order, one after the other, and never more than ``limit`` of them
/// waiting.
@LoopActor
final class HookRelay<Value: Sendable> {
    nonisolated static var limit: Int { 1_024 }

    private nonisolated let values: AsyncStream<Value>.Continuation
    private var dropped = 0

    nonisolated init(_ hook: @escaping @Sendable (Value) async -> Void) {
        let (stream, values) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: .bufferingOldest(Self.limit))
        self.values = values
        Task.detached { for await value in stream { await hook(value) } }
    }

    deinit { values.finish() }

    /// Queues a value, which learns how many before it were dropped.
    func send(_ value: (_ dropped: Int) -> Value) {
        if case .enqueued = values.yield(value(dropped)) { dropped = 0 } else { dropped += 1 }
    }
}
