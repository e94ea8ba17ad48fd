/// Tests whether a server takes logins, by sending a startup packet. The reply takes 2 ms, a whole `psql` 15 ms, so a
/// wait can poll often and report the moment exactly.
package enum LoginProbe {
    /// The server's reply.
    package enum Reply: Equatable, Sendable {
        /// It asks for authentication: logins work.
        case accepting
        case refused(sqlState: String)
        case notListening
        /// It accepted the connection and sent nothing.
        case silent

        /// Whether the server has finished starting: 57P03 means that it has not.
        package var isReady: Bool {
            switch self {
            case .accepting: true
            case .refused(let sqlState): sqlState != "57P03"
            case .notListening, .silent: false
            }
        }
    }

    /// `host` is an IPv4 address or `localhost`.
    package static func send(
        to port: UInt16, host: String = "127.0.0.1", user: String, database: String, within limit: Duration
    ) -> Reply {
        let deadline = Deadline(in: limit)
        do throws(DeadlineSocket.Failure) {
            let socket = try DeadlineSocket(host: host, port: port, deadline: deadline)
            try socket.send(startupPacket(user: user, database: database), deadline: deadline)
            var received: [UInt8] = []
            while true {
                received += try socket.receive(deadline: deadline)
                guard received.count >= 5 else { continue }
                if received[0] == UInt8(ascii: "R") { return .accepting }
                let length = received[1...4].reduce(0) { $0 << 8 | Int($1) }
                guard received.count > length else { continue }
                return .refused(sqlState: sqlState(inError: received[5...length]))
            }
        } catch {
            return error == .timedOut ? .silent : .notListening
        }
    }

    /// Protocol 3.0: length, version, pairs of strings, an empty string.
    private static func startupPacket(user: String, database: String) -> [UInt8] {
        var body: [UInt8] = [0, 3, 0, 0]
        let name = PostgresSandbox.applicationName
        for text in ["user", user, "database", database, "application_name", name, ""] {
            body += Array(text.utf8) + [0]
        }
        let length = UInt32(body.count + 4)
        return (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + body
    }

    /// ErrorResponse: fields of one letter and a string. `C` is the SQLSTATE.
    private static func sqlState(inError fields: ArraySlice<UInt8>) -> String {
        for field in fields.split(separator: 0) where field.first == UInt8(ascii: "C") {
            return String(decoding: field.dropFirst(), as: UTF8.self)
        }
        return "?????"
    }
}
