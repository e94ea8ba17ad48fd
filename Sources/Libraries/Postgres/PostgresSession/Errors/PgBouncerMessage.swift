/// Classifies PgBouncer's own errors.
///
/// PgBouncer sends nearly all of them as FATAL 08P01 (protocol_violation), so only the text distinguishes a server that
/// is down from a wrong password. The texts are from its calls of `disconnect_client`, 1.18 to 1.24. Unknown texts have
/// the usual meaning of 08P01.
enum PgBouncerMessage {
    private static let rules: [(text: String, disposition: Disposition)] = [
        // The pooler has no server. These come first, because some quote the server's error.
        ("server login has been failing", .outage),
        ("cannot connect to server", .outage),
        ("server conn crashed", .outage),
        ("server shutting down", .outage),
        ("server down", .outage),
        ("query_wait_timeout", .outage),
        // The pooler is shutting down, or full.
        ("pooler is shutting down", .outage),
        ("pause failed", .outage),
        ("no more connections allowed", .outage),
        ("client connections exceeded", .outage),
        // A setting is wrong, here or in the pooler.
        ("no such database", .configuration),
        ("no such user", .configuration),
        ("authentication failed", .configuration),
        ("login rejected", .configuration),
        ("unsupported startup parameter", .configuration),
        ("unsupported options startup parameter", .configuration),
        ("SSL required", .configuration),
        ("bouncer config error", .configuration),
        ("is disabled", .configuration),
    ]

    /// The disposition of a pooler's message; `nil` for any other.
    static func disposition(of message: String, state: SQLState) -> Disposition? {
        guard state.rawValue == "08P01" else { return nil }
        return rules.first { message.contains($0.text) }?.disposition
    }
}
