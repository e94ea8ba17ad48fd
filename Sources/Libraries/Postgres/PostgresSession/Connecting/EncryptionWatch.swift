internal import CLibPQ
package import DispatchLoop

extension PostgresConnection {
    /// Whether the session is encrypted, by TLS or by Kerberos.
    package var isEncrypted: Bool {
        guard let connection else { return false }
        return PQsslInUse(connection) == 1 || PQgssEncInUse(connection) == 1
    }

    /// Whether TLS was tried for this session and could not be had: `sslmode=prefer`, libpq's default, then goes on in
    /// the clear. Over a Unix socket it is not tried; with `allow` it is tried last.
    package var lacksPreferredEncryption: Bool {
        guard let connection, !isEncrypted, let address = PQhostaddr(connection), address.pointee != 0,
            let options = PQconninfo(connection)
        else { return false }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            if String(cString: keyword) == "sslmode" {
                return option.pointee.val.map { String(cString: $0) } == "prefer"
            }
            option += 1
        }
        return false
    }
}

/// Tells of the first session of this process that went on in the clear because TLS could not be had. Looks at sessions
/// when they are made, until it has told.
@LoopActor
package final class EncryptionWatch {
    /// The one that all connections report to.
    package static let shared = EncryptionWatch()

    /// Called once, with the server's name; then never again.
    package var onUnencrypted: (@LoopActor (_ endpoint: String) -> Void)?

    func opened(_ connection: PostgresConnection) {
        guard let onUnencrypted, connection.lacksPreferredEncryption else { return }
        self.onUnencrypted = nil
        onUnencrypted(connection.endpoint)
    }
}
