/// Explains the fault in a connection string without quoting it, because any part of it may be part of the password.
enum ConnectionStringDiagnosis {
    /// The beginnings of libpq's messages (fe-connect.c: `conninfo_parse`, `conninfo_uri_parse_options`), and their
    /// meanings.
    private static let meanings: [(beginning: String, meaning: String)] = [
        ("missing \"=\" after", "a keyword has no \"=\" after it"),
        ("unterminated quoted string", "a quote is not closed"),
        ("invalid connection option", "a keyword does not exist"),
        ("end of string reached when looking for matching \"]\"", "an IPv6 address has no closing bracket"),
        ("IPv6 host address may not be empty", "an IPv6 address is empty"),
        ("unexpected character", "an IPv6 address is followed by neither a port nor a database"),
        ("extra key/value separator", "a parameter after the ? has a second \"=\""),
        ("missing key/value separator", "a parameter after the ? has no \"=\""),
        ("invalid URI query parameter", "a parameter after the ? does not exist"),
        ("invalid percent-encoded token", "a % is not followed by two hexadecimal digits"),
        ("forbidden value %00", "%00 is not allowed"),
    ]

    /// The meaning of libpq's message.
    static func meaning(of message: String) -> String {
        meanings.first { message.hasPrefix($0.beginning) }?.meaning ?? "libpq does not understand it"
    }

    /// What to do about `text`. The usual cause is a password that was not percent-encoded.
    static func hint(for text: String) -> String? {
        guard body(ofURI: text) != nil else { return nil }
        return "Percent-encode special characters in a URI's user and password: "
            + "@ is %40, / is %2F, : is %3A, % is %25."
    }

    static let form = "Expected postgres://user:password@host:port/database, or keyword=value pairs."

    /// Whether the database's name seems to contain an '@'. The cause is a '/' in the password: libpq ends the host
    /// there and takes the rest of the password as part of the database's name.
    static func hasPasswordInPath(_ text: String) -> Bool {
        guard let body = body(ofURI: text) else { return false }
        return body.prefix { $0 != "?" }.drop { $0 != "/" }.contains("@")
    }

    private static func body(ofURI text: String) -> Substring? {
        ["postgres://", "postgresql://"].first(where: text.hasPrefix).map { text.dropFirst($0.count) }
    }
}
