extension PostgresError {
    /// How long a text of the server may be, in bytes of UTF-8, the mark included: it is in each answer of `/ping` and in
    /// log lines, and a server may send megabytes (a statement's text, a value that is out of range).
    package static let textLimit = 1_024

    /// The same error with message, detail and hint within ``textLimit``.
    var limited: PostgresError {
        var error = self
        error.message = Self.limited(message)
        error.detail = detail.map(Self.limited)
        error.hint = hint.map(Self.limited)
        return error
    }

    /// Cuts what is too long, between two characters, and marks it with an ellipsis.
    static func limited(_ text: String) -> String {
        guard text.utf8.count > textLimit else { return text }
        let mark = "…"
        var end = text.utf8.index(text.startIndex, offsetBy: textLimit - mark.utf8.count)
        // Never within a scalar; a character of a thousand scalars may be cut.
        end = text.unicodeScalars.index(before: text.unicodeScalars.index(after: end))
        return String(text.unicodeScalars[..<end]) + mark
    }
}
