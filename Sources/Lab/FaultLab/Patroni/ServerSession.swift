import PostgresTestKit

/// A superuser's session with one server, by the protocol: a question takes a fraction of a millisecond, so that a watch
/// reports a moment exactly. Blocks its thread and belongs to one thread at a time.
final class ServerSession: Sendable {
    /// The server's error, by its SQLSTATE, or bytes that are no answer.
    enum Failure: Error, Equatable {
        case server(String)
        case socket(DeadlineSocket.Failure)
    }

    private let socket: DeadlineSocket

    init(host: String, port: UInt16, password: String, deadline: Deadline) throws(Failure) {
        do throws(DeadlineSocket.Failure) {
            socket = try DeadlineSocket(host: host, port: port, deadline: deadline)
        } catch { throw .socket(error) }
        var start: [UInt8] = [0, 3, 0, 0]
        for text in [
            "user", "postgres", "database", "postgres", "application_name", PostgresSandbox.applicationName, "",
        ] { start += Array(text.utf8) + [0] }
        try send(Self.sized(start), deadline)
        _ = try answer(deadline, password: password)
    }

    /// The rows of a statement's result.
    func query(_ sql: String, deadline: Deadline) throws(Failure) -> [[String]] {
        try send([UInt8(ascii: "Q")] + Self.sized(Array(sql.utf8) + [0]), deadline)
        return try answer(deadline)
    }

    /// Reads messages until ReadyForQuery (PostgreSQL manual, 55.7).
    private func answer(_ deadline: Deadline, password: String? = nil) throws(Failure) -> [[String]] {
        var received: [UInt8] = []
        var rows: [[String]] = []
        while true {
            while let message = Self.takeMessage(&received) {
                switch message.type {
                case UInt8(ascii: "Z"): return rows
                case UInt8(ascii: "E"): throw .server(Self.sqlState(inError: message.body))
                case UInt8(ascii: "D"): rows.append(Self.values(inRow: message.body))
                // AuthenticationCleartextPassword.
                case UInt8(ascii: "R") where message.body.elementsEqual([0, 0, 0, 3]):
                    try send([UInt8(ascii: "p")] + Self.sized(Array((password ?? "").utf8) + [0]), deadline)
                default: break
                }
            }
            do throws(DeadlineSocket.Failure) {
                received += try socket.receive(deadline: deadline)
            } catch { throw .socket(error) }
        }
    }

    private func send(_ bytes: [UInt8], _ deadline: Deadline) throws(Failure) {
        do throws(DeadlineSocket.Failure) {
            try socket.send(bytes, deadline: deadline)
        } catch { throw .socket(error) }
    }

    // MARK: Bytes

    /// The body after its length.
    static func sized(_ body: [UInt8]) -> [UInt8] {
        let length = UInt32(body.count + 4)
        return (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + body
    }

    /// The first message, if all its bytes are there.
    static func takeMessage(_ bytes: inout [UInt8]) -> (type: UInt8, body: ArraySlice<UInt8>)? {
        guard bytes.count >= 5 else { return nil }
        let length = bytes[1...4].reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, bytes.count > length else { return nil }
        let message = (bytes[0], Array(bytes[5..<(length + 1)])[...])
        bytes.removeFirst(length + 1)
        return message
    }

    static func values(inRow body: ArraySlice<UInt8>) -> [String] {
        var rest = body.dropFirst(2)
        var values: [String] = []
        while rest.count >= 4 {
            // −1, the length of a null, is an empty text here.
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard length <= rest.count else {
                values.append("")
                continue
            }
            values.append(String(decoding: rest.prefix(length), as: UTF8.self))
            rest = rest.dropFirst(length)
        }
        return values
    }

    private static func sqlState(inError body: ArraySlice<UInt8>) -> String {
        for field in body.split(separator: 0) where field.first == UInt8(ascii: "C") {
            return String(decoding: field.dropFirst(), as: UTF8.self)
        }
        return "?????"
    }
}
