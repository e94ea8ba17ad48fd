import HTTP1

/// A second implementation of RFC 9112, written only to be obviously correct: whole arrays, one pass from left to
/// right, nothing incremental, and no code shared with the parser. The parser must agree with it.
struct ReferenceReader {
    struct Field {
        var name: [UInt8]
        var value: [UInt8]
    }

    struct Request {
        var method: [UInt8]
        var target: [UInt8]
        var fields: [Field]
        var keepAlive: Bool
        var end: Int
    }

    private enum Framing {
        case none
        case fixed(Int)
        case chunked
    }

    /// Why reading ended.
    enum Stop: Error {
        /// The input ended.
        case ended
        /// The input is invalid or exceeds a limit.
        case refused
    }

    let wire: [UInt8]
    let limits: ParserLimits
    private var position = 0

    init(_ wire: [UInt8], limits: ParserLimits) {
        self.wire = wire
        self.limits = limits
    }

    mutating func readAll() -> (requests: [Request], stop: Stop) {
        var requests: [Request] = []
        while true {
            do throws(Stop) {
                requests.append(try readRequest())
            } catch {
                return (requests, error)
            }
        }
    }

    private mutating func readRequest() throws(Stop) -> Request {
        var emptyLines = 0
        var line: [UInt8] = []
        repeat {
            // A byte that cannot start a method is rejected before the line's end.
            if position < wire.count, !wire[position].isTchar, wire[position] != 13 { throw .refused }
            line = try readLine(limits.requestLine)
            if line.isEmpty { emptyLines += 1 }
            if emptyLines > 4 { throw .refused }
        } while line.isEmpty

        // request-line = method SP request-target SP HTTP-version
        let parts = line.split(separator: 32, omittingEmptySubsequences: false).map(Array.init)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(\.isTchar) else { throw .refused }
        guard TargetGrammar.accepts(parts[1], method: parts[0]) else { throw .refused }
        guard parts[2] == Array("HTTP/1.".utf8) + parts[2].suffix(1), parts[2][7].isDecimal else { throw .refused }
        let isHTTP10 = parts[2][7] == 48

        let fields = try readFields(Self.check)
        let framing = try frame(fields, isHTTP10: isHTTP10)
        let options = fields.values("connection").flatMap(\.elements)
        let closes = options.contains(Array("close".utf8))
        let keepAlive = !closes && (!isHTTP10 || options.contains(Array("keep-alive".utf8)))
        switch framing {
        case .none: break
        case .fixed(let count): try skip(count)
        case .chunked: try readChunks()
        }
        return Request(method: parts[0], target: parts[1], fields: fields, keepAlive: keepAlive, end: position)
    }

    /// Checks the fields read so far, independently of later ones.
    private static func check(_ fields: [Field]) throws(Stop) {
        let hosts = fields.values("host")
        let expectations = fields.values("expect").flatMap(\.elements)
        let lengths = fields.values("content-length")
        let codings = fields.values("transfer-encoding").map(\.lowercased)
        guard hosts.count <= 1, hosts.allSatisfy({ TargetGrammar.isAuthority($0, portRequired: false) }),
            expectations.allSatisfy({ $0 == Array("100-continue".utf8) }),
            lengths.count + codings.count <= 1, codings.allSatisfy({ $0 == Array("chunked".utf8) }),
            lengths.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isDecimal) && $0.integer != nil })
        else { throw .refused }
    }

    /// Trailer fields have no meaning here.
    private static func checkNothing(_ fields: [Field]) throws(Stop) {}

    /// The framing of the body. Checks the rules that concern the whole head.
    private func frame(_ fields: [Field], isHTTP10: Bool) throws(Stop) -> Framing {
        guard !fields.values("host").isEmpty || isHTTP10 else { throw .refused }
        if let length = fields.values("content-length").first?.integer {
            guard length <= limits.body || length == 0 else { throw .refused }
            return .fixed(length)
        }
        if fields.values("transfer-encoding").isEmpty { return .none }
        guard !isHTTP10 else { throw .refused }
        return .chunked
    }

    private mutating func readChunks() throws(Stop) {
        var total = 0
        var extensions = 0
        while true {
            let line = try readLine(256)
            let digits = line.prefix { $0.isHexadecimal }
            guard !digits.isEmpty, digits.count <= 15 else { throw .refused }
            let rest = line.dropFirst(digits.count)
            guard Self.areExtensions(Array(rest)) else { throw .refused }
            extensions += rest.count
            let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) ?? .max
            guard extensions <= 4096, size <= limits.body - total else { throw .refused }
            total += size
            if size == 0 { break }
            try skip(size)
            for byte in [13, 10] as [UInt8] {
                guard position < wire.count else { throw .ended }
                guard wire[position] == byte else { throw .refused }
                position += 1
            }
        }
        _ = try readFields(Self.checkNothing)
    }

    /// RFC 9112 §7.1.1. Removes quoted strings first, so that the rest has the form `;token=token`.
    private static func areExtensions(_ bytes: [UInt8]) -> Bool {
        var plain: [UInt8] = []
        var isQuoted = false
        var isEscaped = false
        for byte in bytes {
            guard byte.isFieldByte else { return false }
            if !isQuoted {
                isQuoted = byte == UInt8(ascii: "\"")
                // A mark that no token contains replaces the quoted string.
                plain.append(isQuoted ? UInt8(ascii: "(") : byte)
            } else if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted = false
                plain.append(UInt8(ascii: ")"))
            }
        }
        guard !isQuoted else { return false }
        if plain.isEmpty { return true }
        let parts = plain.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).map { [UInt8]($0) }
        guard parts[0].trimmed.isEmpty else { return false }
        for (index, part) in parts.enumerated().dropFirst() {
            // Blanks are allowed before a semicolon, but not at the end of the line.
            if index == parts.count - 1, part.last == 32 || part.last == 9 { return false }
            let sides = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                .map { [UInt8]($0).trimmed }
            guard sides.count >= 1, !sides[0].isEmpty, sides[0].allSatisfy(\.isTchar) else { return false }
            guard sides.count == 2 else { continue }
            let isString = sides[1] == Array("()".utf8)
            guard isString || !sides[1].isEmpty && sides[1].allSatisfy(\.isTchar) else { return false }
        }
        return parts.count > 1
    }

    /// Field lines and the empty line after them.
    private mutating func readFields(_ check: ([Field]) throws(Stop) -> Void) throws(Stop) -> [Field] {
        var fields: [Field] = []
        var left = limits.fieldBytes
        while true {
            let line = try readLine(max(0, left - 2))
            if line.isEmpty { return fields }
            left -= line.count + 2
            guard left >= 0, fields.count < limits.fieldCount else { throw .refused }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw .refused }
            let name = Array(line[..<colon])
            let value = Array(line[(colon + 1)...])
            guard !name.isEmpty, name.allSatisfy(\.isTchar), value.allSatisfy(\.isFieldByte) else { throw .refused }
            fields.append(Field(name: name, value: value.trimmed))
            try check(fields)
        }
    }

    /// A line of at most `limit` bytes and its CRLF.
    private mutating func readLine(_ limit: Int) throws(Stop) -> [UInt8] {
        let window = wire[position..<min(wire.count, position + limit + 2)]
        guard let end = window.firstIndex(of: 10) else { throw window.count == limit + 2 ? .refused : .ended }
        guard end > position, wire[end - 1] == 13 else { throw .refused }
        defer { position = end + 1 }
        return Array(wire[position..<(end - 1)])
    }

    private mutating func skip(_ count: Int) throws(Stop) {
        guard count <= wire.count - position else { throw .ended }
        position += count
    }
}

extension [ReferenceReader.Field] {
    func values(_ name: String) -> [[UInt8]] { filter { $0.name.lowercased == [UInt8](name.utf8) }.map(\.value) }
}

extension [UInt8] {
    var integer: Int? { Int(String(decoding: self, as: UTF8.self)) }

    var lowercased: [UInt8] { map { (65...90).contains($0) ? $0 + 32 : $0 } }

    /// The elements of a comma-separated list, in lower case, without empty ones (RFC 9110 §5.6.1.2).
    var elements: [[UInt8]] {
        split(separator: UInt8(ascii: ",")).map { [UInt8]($0).trimmed.lowercased }.filter { !$0.isEmpty }
    }

    var trimmed: [UInt8] {
        Array(drop { $0 == 32 || $0 == 9 }.reversed().drop { $0 == 32 || $0 == 9 }.reversed())
    }
}

extension UInt8 {
    private static let tchars = Set(
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

    var isTchar: Bool { Self.tchars.contains(self) }
    var isDecimal: Bool { (48...57).contains(self) }
    var isHexadecimal: Bool { isDecimal || (65...70).contains(self) || (97...102).contains(self) }
    var isFieldByte: Bool { self == 9 || (32...126).contains(self) || self >= 128 }
}
