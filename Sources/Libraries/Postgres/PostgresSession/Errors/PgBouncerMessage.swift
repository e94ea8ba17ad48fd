/// What a connection pooler that stands between us and the server says in its own name.
///
/// PgBouncer sends nearly all of its own errors as FATAL 08P01 (protocol_violation), so the text alone tells a server
/// that is away from a wrong password. The texts are those of its calls of `disconnect_client`, 1.18 to 1.24; unknown
/// ones mean what 08P01 means elsewhere.
enum PgBouncerMessage {
    private static let rules: [(text: String, disposition: Disposition)] = [
        // Behind the pooler is no server. These come first: some quote the server's refusal.
        ("server login has been failing", .outage),
        ("cannot connect to server", .outage),
        ("server conn crashed", .outage),
        ("server shutting down", .outage),
        ("server down", .outage),
        ("query_wait_timeout", .outage),
        // The pooler itself is going, or full.
        ("pooler is shutting down", .outage),
        ("pause failed", .outage),
        ("no more connections allowed", .outage),
        ("client connections exceeded", .outage),
        // Somebody has to mend a setting, here or in the pooler's.
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

    /// What it means, if it is a pooler's.
    static func disposition(of message: String, state: SQLState) -> Disposition? {
        guard state.rawValue == "08P01" else { return nil }
        return rules.first { message.contains($0.text) }?.disposition
    }
}
