/// Asks a server whether it would take a login, by the first half of one: a startup packet. The answer
/// comes in two milliseconds where a whole `psql` takes fifteen, so a wait can ask often and report
/// the moment exactly.
package enum LoginProbe {
    /// What the server said.
    package enum Answer: Equatable, Sendable {
        /// It went on to authentication: logins work.
        case accepting
        /// It refused with this SQLSTATE.
        case refused(sqlState: String)
        /// Nobody listens.
        case notListening
        /// Something listens and says nothing.
        case silent

        /// A server that names another reason than "not yet" has finished starting.
        package var isReady: Bool {
            switch self {
            case .accepting: true
            case .refused(let sqlState): sqlState != "57P03"
            case .notListening, .silent: false
            }
        }
    }

    package static func ask(port: UInt16, user: String, database: String, within limit: Duration) -> Answer {
        let deadline = Deadline(in: limit)
        do throws(DeadlineSocket.Failure) {
            let socket = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
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

    /// Protocol 3.0: length, version, then pairs of strings and an empty one.
    private static func startupPacket(user: String, database: String) -> [UInt8] {
        var body: [UInt8] = [0, 3, 0, 0]
        let name = PostgresSandbox.applicationName
        for text in ["user", user, "database", database, "application_name", name, ""] {
            body += Array(text.utf8) + [0]
        }
        let length = UInt32(body.count + 4)
        return (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + body
    }

    /// ErrorResponse: fields of one letter and a string; `C` is the SQLSTATE.
    private static func sqlState(inError fields: ArraySlice<UInt8>) -> String {
        for field in fields.split(separator: 0) where field.first == UInt8(ascii: "C") {
            return String(decoding: field.dropFirst(), as: UTF8.self)
        }
        return "?????"
    }
}
