internal import CLibPQ

// What the session is, by what it has heard.
extension PostgresConnection {
    /// Whether the session can take a statement now.
    public var isIdle: Bool { connection != nil && running == nil && pipeline == nil }
    /// Whether the session has ended.
    public var isClosed: Bool { connection == nil }

    /// Whether a transaction is open, healthy or failed.
    package var isInTransaction: Bool {
        guard let connection else { return false }
        let status = PQtransactionStatus(connection)
        return status == PQTRANS_INTRANS || status == PQTRANS_INERROR
    }

    /// Whether the server said that it does not take writes; it keeps the session posted of changes.
    public var isReadOnly: Bool {
        parameterStatus("in_hot_standby") == "on" || parameterStatus("default_transaction_read_only") == "on"
    }

    /// What the server is, as far as it has said: PostgreSQL 14 and later report `in_hot_standby`. A change is reported
    /// with the session's next statement, not before. `nil` when the server, or a proxy in between, does not report it.
    public var serverRole: ServerRole? {
        parameterStatus("in_hot_standby").map { $0 == "on" ? .replica : .primary }
    }

    /// A parameter that the server reports, such as `server_version` (PostgreSQL manual, 34.2, PQparameterStatus).
    public func parameterStatus(_ name: String) -> String? {
        guard let connection, let value = PQparameterStatus(connection, name) else { return nil }
        return String(cString: value)
    }
}
