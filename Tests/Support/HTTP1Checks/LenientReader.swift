/// A reader with the leniencies of real servers and proxies, each of which has made request smuggling possible. A
/// request that our parser accepts must end at the same byte for all of them, or a chain of two servers would see
/// different requests (RFC 9112 §11.2).
struct LenientReader {
    struct Leniency: OptionSet, CaseIterable {
        let rawValue: Int

        /// A line may end in LF alone.
        static let bareLF = Leniency(rawValue: 1)
        /// A CR alone ends a line.
        static let bareCR = Leniency(rawValue: 2)
        /// Blanks are allowed between a name and its colon.
        static let blankBeforeColon = Leniency(rawValue: 4)
        /// A line that starts with a blank continues the previous line.
        static let folding = Leniency(rawValue: 8)
        /// The last of several lengths counts; without this, the first.
        static let lastLength = Leniency(rawValue: 16)
        /// A length overrides a transfer coding; without this, the reverse.
        static let lengthBeatsCoding = Leniency(rawValue: 32)
        /// Every coding that contains "chunked" is chunked.
        static let looseCoding = Leniency(rawValue: 64)
        /// Numbers are parsed like `strtol`: blanks, a sign, `0x`, and trailing text.
        static let looseNumbers = Leniency(rawValue: 128)
        /// A NUL ends a field's value.
        static let endsAtNUL = Leniency(rawValue: 256)
        /// A transfer coding in HTTP/1.0 is ignored.
        static let noCodingInHTTP10 = Leniency(rawValue: 512)

        /// A quoted string in a chunk extension continues across line ends.
        static let quotedLineEnds = Leniency(rawValue: 1024)

        static let allCases = (0..<11).map { Leniency(rawValue: 1 << $0) }
        static let combinations = 2048
    }

    let wire: ArraySlice<UInt8>
    let leniency: Leniency
    private var position: Int

    init(_ wire: ArraySlice<UInt8>, _ leniency: Leniency) {
        self.wire = wire
        self.leniency = leniency
        position = wire.startIndex
    }

    /// The end of the first request; `nil` if this reader finds none.
    mutating func end() -> Int? {
        var requestLine: [UInt8]
        repeat {
            guard let line = nextLine() else { return nil }
            requestLine = line
        } while requestLine.isEmpty

        guard let fields = readFields() else { return nil }
        func values(_ name: String) -> [[UInt8]] {
            fields.filter { $0.name == Array(name.utf8) }.map(\.value)
        }
        let lengths = values("content-length")
        let isOverlooked = leniency.contains(.noCodingInHTTP10) && requestLine.suffix(3) == Array("1.0".utf8)
        let coding = isOverlooked ? nil : values("transfer-encoding").last
        let isChunked = coding.map { isChunkedCoding($0.lowercased) } ?? false
        if isChunked, lengths.isEmpty || !leniency.contains(.lengthBeatsCoding) { return endOfChunks() }
        guard let length = leniency.contains(.lastLength) ? lengths.last : lengths.first else { return position }
        guard let count = number(length, radix: 10), count <= wire.endIndex - position else { return nil }
        return position + count
    }

    private func isChunkedCoding(_ coding: [UInt8]) -> Bool {
        let text = String(decoding: coding, as: UTF8.self)
        return leniency.contains(.looseCoding) ? text.contains("chunked") : text == "chunked"
    }

    private mutating func endOfChunks() -> Int? {
        while true {
            guard let line = nextChunkLine(), let size = number(line, radix: 16) else { return nil }
            guard size <= wire.endIndex - position else { return nil }
            if size == 0 { break }
            position += size
            // Any line end that this reader accepts.
            guard let rest = nextLine(), rest.isEmpty else { return nil }
        }
        return readFields() == nil ? nil : position
    }

    private mutating func readFields() -> [(name: [UInt8], value: [UInt8])]? {
        var fields: [(name: [UInt8], value: [UInt8])] = []
        while true {
            guard let line = nextLine() else { return nil }
            if line.isEmpty { return fields }
            if leniency.contains(.folding), let first = line.first, first == 32 || first == 9, !fields.isEmpty {
                fields[fields.count - 1].value += line
                continue
            }
            let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
            var name = Array(parts[0])
            var value = parts.count > 1 ? Array(parts[1]) : []
            if leniency.contains(.blankBeforeColon) { name = name.trimmed }
            if leniency.contains(.endsAtNUL) { value = Array(value.prefix { $0 != 0 }) }
            fields.append((name.lowercased, value.trimmed))
        }
    }

    /// The line with a chunk's size and extensions.
    private mutating func nextChunkLine() -> [UInt8]? {
        guard var line = nextLine() else { return nil }
        guard leniency.contains(.quotedLineEnds) else { return line }
        while Self.isInQuotedString(line) {
            guard let more = nextLine() else { return nil }
            line += more
        }
        return line
    }

    private static func isInQuotedString(_ line: [UInt8]) -> Bool {
        var isOpen = false
        var rest = line[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { isOpen.toggle() }
            if isOpen, byte == UInt8(ascii: "\\") { _ = rest.popFirst() }
        }
        return isOpen
    }

    private mutating func nextLine() -> [UInt8]? {
        let start = position
        while position < wire.endIndex {
            let byte = wire[position]
            let next = position + 1 < wire.endIndex ? wire[position + 1] : nil
            if byte == 13, next == 10 {
                defer { position += 2 }
                return Array(wire[start..<position])
            }
            if (byte == 10 && leniency.contains(.bareLF)) || (byte == 13 && leniency.contains(.bareCR)) {
                defer { position += 1 }
                return Array(wire[start..<position])
            }
            position += 1
        }
        return nil
    }

    private func number(_ text: [UInt8], radix: Int) -> Int? {
        var text = text[...]
        if leniency.contains(.looseNumbers) {
            text = text.drop { $0 == 32 || (9...13).contains($0) }
            if text.first == UInt8(ascii: "+") { text = text.dropFirst() }
            if radix == 16, text.starts(with: Array("0x".utf8)) { text = text.dropFirst(2) }
        }
        let digits = text.prefix { radix == 16 ? $0.isHexadecimal : $0.isDecimal }
        return Int(String(decoding: digits, as: UTF8.self), radix: radix)
    }
}
