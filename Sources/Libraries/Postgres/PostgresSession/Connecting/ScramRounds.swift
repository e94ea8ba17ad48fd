internal import CLibPQ
internal import CLinux
internal import Glibc

/// Reads the number of SCRAM iterations that a server demands before libpq does. libpq computes any number and cannot
/// be stopped: 2³¹ take one processor a quarter of an hour.
enum ScramRounds {
    /// More than this takes longer than the server's `authentication_timeout`, a minute by default. A million took 1.1 s.
    static let most = 50_000_000

    /// The number in the next message in the socket; `nil` if it is another message, or the session is encrypted.
    static func awaited(on connection: OpaquePointer) -> Int? {
        if PQsslInUse(connection) == 1 || PQgssEncInUse(connection) == 1 { return nil }
        var buffer = [UInt8](repeating: 0, count: 1_024)
        let count = recv(PQsocket(connection), &buffer, buffer.count, Int32(MSG_PEEK | MSG_DONTWAIT))
        return count > 0 ? rounds(in: buffer[..<count]) : nil
    }

    /// Reads AuthenticationSASLContinue (PostgreSQL manual, 55.7): `R`, length, 11, and the server's first message of
    /// RFC 5802 §7, `r=…,s=…,i=4096`.
    static func rounds(in bytes: ArraySlice<UInt8>) -> Int? {
        let bytes = Array(bytes)
        guard bytes.count > 9, bytes[0] == UInt8(ascii: "R"), Array(bytes[5..<9]) == [0, 0, 0, 11] else { return nil }
        let length = bytes[1..<5].reduce(0) { $0 << 8 | Int($1) }
        let text = String(decoding: bytes[9..<max(9, min(bytes.count, length + 1))], as: UTF8.self)
        let field = text.split(separator: ",").last { $0.hasPrefix("i=") }
        guard let digits = field?.dropFirst(2), !digits.isEmpty, digits.allSatisfy(\.isNumber) else { return nil }
        return Int(digits) ?? .max
    }

    static func refusal(_ rounds: Int) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.loginKeys,
            message: "the server demands \(rounds) rounds of SCRAM, too many to compute in time",
            hint: PostgresError.manyRoundsHint, disposition: .configuration)
    }
}
