/// The texts of `bytea` (PostgreSQL manual, 8.4).
enum BytesText {
    private static let digits = Array("0123456789abcdef".utf8)

    /// The hexadecimal form: `\x` and two digits for each byte.
    static func text(of bytes: some Collection<UInt8>) -> String {
        String(unsafeUninitializedCapacity: 2 + 2 * bytes.count) { buffer in
            buffer[0] = UInt8(ascii: "\\")
            buffer[1] = UInt8(ascii: "x")
            var end = 2
            for byte in bytes {
                buffer[end] = digits[Int(byte >> 4)]
                buffer[end + 1] = digits[Int(byte & 15)]
                end += 2
            }
            return end
        }
    }

    /// Reads both forms that servers write. They differ in the second character: the older form writes `\` as `\\`.
    static func bytes(in text: String) throws(PostgresDecodingError.Reason) -> [UInt8] {
        let text = Array(text.utf8)
        return text.starts(with: "\\x".utf8) ? try bytes(inHexadecimal: text.dropFirst(2)) : try bytes(inEscape: text)
    }

    private static func bytes(inHexadecimal text: ArraySlice<UInt8>) throws(PostgresDecodingError.Reason) -> [UInt8] {
        guard text.count.isMultiple(of: 2) else { throw .malformed }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 2)
        var index = text.startIndex
        while index < text.endIndex {
            guard let high = nibble(text[index]), let low = nibble(text[index + 1]) else { throw .malformed }
            bytes.append(high << 4 | low)
            index += 2
        }
        return bytes
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// `bytea_output = escape`: printable bytes as they are, `\\`, and `\` with three octal digits.
    private static func bytes(inEscape text: [UInt8]) throws(PostgresDecodingError.Reason) -> [UInt8] {
        let backslash = UInt8(ascii: "\\")
        var bytes: [UInt8] = []
        var index = 0
        while index < text.count {
            guard text[index] == backslash else {
                bytes.append(text[index])
                index += 1
                continue
            }
            guard index + 1 < text.count else { throw .malformed }
            if text[index + 1] == backslash {
                bytes.append(backslash)
                index += 2
                continue
            }
            guard index + 3 < text.count else { throw .malformed }
            var byte = 0
            for digit in text[index + 1...index + 3] {
                guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) else { throw .malformed }
                byte = byte << 3 | Int(digit - UInt8(ascii: "0"))
            }
            guard let byte = UInt8(exactly: byte) else { throw .malformed }
            bytes.append(byte)
            index += 4
        }
        return bytes
    }
}
