package import DispatchLoop
package import HTTP1

/// Assigns request ids: the client's `X-Request-Id` if it is safe to log, or a new one.
///
/// A new id has 15 characters, which a `String` holds without allocating: seven random ones for the process and a count
/// of eight, in base 32. Ids are unique across processes and restarts, and sort by arrival within a process. They are
/// not secret.
@LoopActor
package final class RequestIdentifier {
    /// The maximum length of a client's id, in bytes.
    package nonisolated static let longest = 128

    /// The process's seven characters, in memory order.
    private let process: UInt64
    private var count: UInt64

    package convenience init() {
        self.init(process: .random(in: 0..<(1 << 35)), count: 0)
    }

    /// For tests: the ids of the given process, after `count` requests.
    init(process: UInt64, count: UInt64) {
        self.process = Self.digits(process) >> 8
        self.count = count
    }

    /// Returns the request's id.
    package func identify(_ request: RequestHead) -> String {
        if request.hasRequestID, let sent = request.firstValue(of: "x-request-id"), Self.isSane(sent) { return sent }
        return next()
    }

    /// Makes a new id.
    package func next() -> String {
        defer { count &+= 1 }
        return Self.text(process, count)
    }

    /// `nonisolated`, because the runtime checks the executor of each isolated closure, which costs more than the rest.
    private nonisolated static func text(_ process: UInt64, _ number: UInt64) -> String {
        String(unsafeUninitializedCapacity: 15) { buffer in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            // The next store overwrites the eighth byte.
            bytes.storeBytes(of: process.littleEndian, as: UInt64.self)
            bytes.storeBytes(of: digits(number).littleEndian, toByteOffset: 7, as: UInt64.self)
            return 15
        }
    }

    /// Eight digits in base 32 (RFC 4648 §7, in lower case), the first one in the lowest byte.
    private nonisolated static func digits(_ number: UInt64) -> UInt64 {
        var digits: UInt64 = 0
        for place in 0..<8 {
            let digit = number >> (5 * UInt64(place)) & 31
            digits = digits << 8 | (digit &+ (digit < 10 ? 0x30 : 0x57))
        }
        return digits
    }

    /// Whether a client's id is safe in logs and answers: letters, digits and the punctuation of trace ids, UUIDs and
    /// base64, but nothing that ends a line, a quotation or a shell word.
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
