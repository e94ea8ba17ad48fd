/// The extensions after the size of a chunk. The parser ignores them, as RFC 9112 §7.1.1 requires of unknown ones, but
/// checks their grammar, because it decides where the line ends. Two parsers that disagree on a line end within an
/// unclosed quote allow request smuggling.
enum ChunkExtensions {
    /// Whether `range` contains only extensions.
    ///
    /// ```
    /// chunk-ext = *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )
    /// ```
    static func areValid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        let end = range.upperBound
        while index < end {
            skipBlanks(bytes, &index, end)
            guard index < end, bytes[index] == UInt8(ascii: ";") else { return false }
            index += 1
            skipBlanks(bytes, &index, end)
            guard skipToken(bytes, &index, end) else { return false }
            var value = index
            skipBlanks(bytes, &value, end)
            guard value < end, bytes[value] == UInt8(ascii: "=") else { continue }
            index = value + 1
            skipBlanks(bytes, &index, end)
            guard index < end else { return false }
            let isQuoted = bytes[index] == UInt8(ascii: "\"")
            guard isQuoted ? skipQuotedString(bytes, &index, end) : skipToken(bytes, &index, end) else { return false }
        }
        return true
    }

    private static func skipBlanks(_ bytes: Span<UInt8>, _ index: inout Int, _ end: Int) {
        while index < end, bytes[index].isBlank { index += 1 }
    }

    private static func skipToken(_ bytes: Span<UInt8>, _ index: inout Int, _ end: Int) -> Bool {
        let start = index
        while index < end, bytes[index].isToken { index += 1 }
        return index > start
    }

    /// RFC 9110 §5.6.4: `qdtext` and `quoted-pair` between two quotes.
    private static func skipQuotedString(_ bytes: Span<UInt8>, _ index: inout Int, _ end: Int) -> Bool {
        index += 1
        while index < end {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") { return true }
            guard byte.isFieldValue else { return false }
            guard byte == UInt8(ascii: "\\") else { continue }
            guard index < end, bytes[index].isFieldValue else { return false }
            index += 1
        }
        return false
    }
}
