internal import CLibPQ
package import DispatchLoop

extension PostgresConnection {
    /// Whether TLS or Kerberos encrypts the session.
    package var isEncrypted: Bool {
        guard let connection else { return false }
        return PQsslInUse(connection) == 1 || PQgssEncInUse(connection) == 1
    }

    /// Whether libpq tried TLS, failed, and continued unencrypted, as `sslmode=prefer` allows, its default. It does not
    /// try TLS over a Unix socket, and tries it last with `allow`.
    package var lacksPreferredEncryption: Bool {
        guard let connection, !isEncrypted, let address = PQhostaddr(connection), address.pointee != 0,
            let options = PQconninfo(connection)
        else { return false }
        defer { PQconninfoFree(options) }
        return ConnectionConfiguration.values(of: options)["sslmode"] == "prefer"
    }
}

/// Reports the process's first session that is unencrypted because TLS was not available.
@LoopActor
package final class EncryptionWatch {
    /// The instance that all connections report to.
    package static let shared = EncryptionWatch()

    /// Called once, with the server's name.
    package var onUnencrypted: (@LoopActor (_ endpoint: String) -> Void)?

    func opened(_ connection: PostgresConnection) {
        guard let onUnencrypted, connection.lacksPreferredEncryption else { return }
        self.onUnencrypted = nil
        onUnencrypted(connection.endpoint)
    }
}
