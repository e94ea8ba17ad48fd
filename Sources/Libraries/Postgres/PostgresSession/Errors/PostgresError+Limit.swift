extension PostgresError {
    /// Maximum UTF-8 bytes of a text from the server, ellipsis included. Errors go into responses and log lines, and a
    /// server may send megabytes (a statement's text, a value out of range).
    package static let textLimit = 1_024

    /// The same error with message, detail and hint cut to ``textLimit``.
    var limited: PostgresError {
        var error = self
        error.message = Self.limited(message)
        error.detail = detail.map(Self.limited)
        error.hint = hint.map(Self.limited)
        return error
    }

    /// Cuts a longer text between two scalars and appends an ellipsis.
    static func limited(_ text: String) -> String {
        guard text.utf8.count > textLimit else { return text }
        let mark = "…"
        var end = text.utf8.index(text.startIndex, offsetBy: textLimit - mark.utf8.count)
        // Between scalars and not characters, because a character may have a thousand scalars.
        end = text.unicodeScalars.index(before: text.unicodeScalars.index(after: end))
        return String(text.unicodeScalars[..<end]) + mark
    }
}
