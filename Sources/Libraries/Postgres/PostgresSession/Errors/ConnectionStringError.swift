/// What is wrong with a connection string, said without repeating any of it: a piece of it may be a piece of the password.
enum ConnectionStringError {
    /// How libpq begins what it says (fe-connect.c: `conninfo_parse`, `conninfo_uri_parse_options`), and what it means.
    private static let meanings: [(beginning: String, meaning: String)] = [
        ("missing \"=\" after", "there is no \"=\" behind a keyword"),
        ("unterminated quoted string", "a quote is not closed"),
        ("invalid connection option", "there is no such keyword"),
        ("end of string reached when looking for matching \"]\"", "an IPv6 address has no closing bracket"),
        ("IPv6 host address may not be empty", "an IPv6 address is empty"),
        ("unexpected character", "behind an IPv6 address there is neither a port nor a database"),
        ("extra key/value separator", "a parameter behind the ? has a second \"=\""),
        ("missing key/value separator", "a parameter behind the ? has no \"=\""),
        ("invalid URI query parameter", "there is no such parameter behind the ?"),
        ("invalid percent-encoded token", "a % is not followed by two hexadecimal digits"),
        ("forbidden value %00", "%00 cannot be in it"),
    ]

    /// What libpq's message means.
    static func meaning(of message: String) -> String {
        meanings.first { message.hasPrefix($0.beginning) }?.meaning ?? "libpq does not understand it"
    }

    /// What to do about `text`. Most often it is a password that was put into a URI as it is.
    static func hint(for text: String) -> String? {
        guard body(ofURI: text) != nil else { return nil }
        return "Special characters of a URI's user and password have to be percent-encoded: "
            + "@ is %40, / is %2F, : is %3A, % is %25."
    }

    static let form = "Expected postgres://user:password@host:port/database, or keyword=value pairs."

    /// Whether the database's name seems to have an '@' in it. Then the password has a '/' in it: to libpq the host ends
    /// there, and what follows – the rest of the password, to begin with – names the database.
    static func hasPasswordInPath(_ text: String) -> Bool {
        guard let body = body(ofURI: text) else { return false }
        return body.prefix { $0 != "?" }.drop { $0 != "/" }.contains("@")
    }

    private static func body(ofURI text: String) -> Substring? {
        ["postgres://", "postgresql://"].first(where: text.hasPrefix).map { text.dropFirst($0.count) }
    }
}
