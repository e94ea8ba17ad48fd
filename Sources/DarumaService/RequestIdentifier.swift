package import DispatchLoop
package import HTTP1

/// Gives requests their ids: the one that a client or a proxy sent as `X-Request-Id`, if it is sane, or a new one.
///
/// A new one is fifteen characters, which a `String` holds without allocating: eight of random that name the process and
/// seven that count, in an alphabet without letters that look like digits. So ids are unique across processes and
/// restarts, sort in the order of arrival within one, and cost some ten nanoseconds. They are no secret and no proof.
@LoopActor
package final class RequestIdentifier {
    /// The longest id that is taken over, in bytes.
    package nonisolated static let longest = 128
    private nonisolated static let alphabet: StaticString = "0123456789abcdefghjkmnpqrstvwxyz"

    private let process: UInt64
    private var count: UInt64

    package init() {
        process = .random(in: 0..<(1 << 40))
        count = 0
    }

    /// For tests: as the given process, after `count` requests.
    init(process: UInt64, count: UInt64) {
        self.process = process
        self.count = count
    }

    /// The request's id.
    package func identify(_ request: RequestHead) -> String {
        if let sent = request.firstValue(of: "x-request-id"), Self.isSane(sent) { return sent }
        return next()
    }

    /// A new id.
    package func next() -> String {
        let number = count
        count &+= 1
        return String(unsafeUninitializedCapacity: 15) { buffer in
            Self.write(process, digits: 8, to: buffer, at: 0)
            Self.write(number, digits: 7, to: buffer, at: 8)
            return 15
        }
    }

    private nonisolated static func write(
        _ number: UInt64, digits: Int, to buffer: UnsafeMutableBufferPointer<UInt8>, at start: Int
    ) {
        var rest = number
        var index = start + digits
        while index > start {
            index -= 1
            buffer[index] = alphabet.utf8Start[Int(rest & 31)]
            rest >>= 5
        }
    }

    /// Whether an id from outside may stand in logs and answers: letters, digits and what trace ids, UUIDs and base64 are
    /// made of; nothing that could end a line, a quotation or a shell's word.
    package nonisolated static func isSane(_ id: String) -> Bool {
        let length = id.utf8.count
        guard length > 0, length <= longest else { return false }
        return id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "+"), UInt8(ascii: "="), UInt8(ascii: "@"):
                true
            default: false
            }
        }
    }
}
