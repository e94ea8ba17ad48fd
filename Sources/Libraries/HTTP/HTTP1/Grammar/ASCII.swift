// Byte classes of RFC 9110 and 9112. The parser compares bytes; a request becomes text only on demand.

extension UInt8 {
    static var tab: UInt8 { 0x09 }
    static var lf: UInt8 { 0x0A }
    static var cr: UInt8 { 0x0D }
    static var space: UInt8 { 0x20 }

    /// `tchar`, RFC 9110 §5.6.2.
    var isToken: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default:
            false
        }
    }

    /// A byte of a field value, RFC 9110 §5.5: a visible character, space, tab or `obs-text`.
    var isFieldValue: Bool {
        (self >= 0x20 && self != 0x7F) || self == .tab
    }

    /// `SP` or `HTAB`, the `OWS` of RFC 9110 §5.6.3.
    var isBlank: Bool { self == .space || self == .tab }

    var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }

    /// The value of a hexadecimal digit, or `nil`.
    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension Span<UInt8> {
    /// Whether `range` equals `name`, which is in lower case, ignoring case.
    func isEqual(_ range: Range<Int>, ignoringCase name: StaticString) -> Bool {
        guard range.count == name.utf8CodeUnitCount else { return false }
        let expected = name.utf8Start
        for offset in 0..<range.count {
            let byte = self[range.lowerBound + offset]
            let isUpper = byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
            if (isUpper ? byte | 0x20 : byte) != expected[offset] { return false }
        }
        return true
    }

    /// Whether `range` starts with `text`, which is in lower case, ignoring case.
    func hasPrefix(_ range: Range<Int>, ignoringCase text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        return range.count >= count && isEqual(range.lowerBound..<(range.lowerBound + count), ignoringCase: text)
    }

    /// Whether `range` equals `text`.
    func isEqual(_ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        let expected = text.utf8Start
        for offset in 0..<range.count where self[range.lowerBound + offset] != expected[offset] { return false }
        return true
    }

    /// `range` without leading and trailing blanks.
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var lower = range.lowerBound
        var upper = range.upperBound
        while lower < upper, self[lower].isBlank { lower += 1 }
        while lower < upper, self[upper - 1].isBlank { upper -= 1 }
        return lower..<upper
    }

    /// The first index of `byte` in `range`, or the end of `range`.
    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int {
        var index = range.lowerBound
        while index < range.upperBound, self[index] != byte { index += 1 }
        return index
    }

    /// The next element of a comma-separated list from `start`, which moves behind it; `nil` at the list's end. Skips
    /// empty elements (RFC 9110 §5.6.1.2).
    func nextElement(from start: inout Int, in range: Range<Int>) -> Range<Int>? {
        while start < range.upperBound {
            let end = firstIndex(of: UInt8(ascii: ","), in: start..<range.upperBound)
            let element = trimmed(start..<end)
            start = end + 1
            if !element.isEmpty { return element }
        }
        return nil
    }

    /// The text of `range`. Bytes that are not UTF-8 become U+FFFD.
    func text(_ range: Range<Int>) -> String {
        extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}
