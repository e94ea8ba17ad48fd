internal import CLibPQ
internal import Glibc

// The session's state, as the server last reported it.
extension PostgresConnection {
    /// Whether the session can take a statement now.
    package var isIdle: Bool { connection != nil && running == nil && pipeline == nil }
    /// Whether the session has ended.
    package var isClosed: Bool { connection == nil }

    /// Whether a transaction is open, including a failed one.
    package var isInTransaction: Bool {
        guard let connection else { return false }
        let status = PQtransactionStatus(connection)
        return status == PQTRANS_INTRANS || status == PQTRANS_INERROR
    }

    /// Whether the server reports another role than the wanted one; `false` when it reports none: before PostgreSQL 14,
    /// or behind a pooler. A change arrives with the session's next statement, not before.
    package func hasWrongRole(for target: SessionTarget) -> Bool {
        switch target {
        case .any: false
        case .readWrite: reports("in_hot_standby", is: "on") || reports("default_transaction_read_only", is: "on")
        case .readOnly: reports("in_hot_standby", is: "off") && reports("default_transaction_read_only", is: "off")
        case .primary: reports("in_hot_standby", is: "on")
        case .standby, .preferStandby: reports("in_hot_standby", is: "off")
        }
    }

    // Runs once per query, so it makes no string.
    package func reports(_ name: String, is wanted: String, otherwise missing: Bool = false) -> Bool {
        guard let connection, let value = PQparameterStatus(connection, name) else { return missing }
        return strcmp(value, wanted) == 0
    }

    /// The server's role by `in_hot_standby`, which PostgreSQL 14 and later report; a change arrives with the session's
    /// next statement, not before. `nil` when the server, or a proxy in between, does not report it.
    package var serverRole: ServerRole? {
        parameterStatus("in_hot_standby").map { $0 == "on" ? .replica : .primary }
    }

    /// A parameter that the server reports, such as `server_version` (PostgreSQL manual, 34.2, PQparameterStatus).
    package func parameterStatus(_ name: String) -> String? {
        guard let connection, let value = PQparameterStatus(connection, name) else { return nil }
        return String(cString: value)
    }
}
