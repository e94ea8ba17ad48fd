/// What libpq says when connecting fails or a connection is lost, taken apart.
///
/// A failed connect has no SQLSTATE in the API; with `PQERRORS_VERBOSE`, set right after `PQconnectStart`, the text
/// carries it: `FATAL:  57P03: the database system is starting up`, and `LOCATION:` lines that name the server's source
/// files, which nobody else is to see. libpq's own texts and the C library's are English always, because Swift
/// programs do not call `setlocale`; the server's severity may be localised, its position in the text is not.
package enum LibpqMessageParser {
    /// The error that `text`, libpq's message, amounts to.
    package static func error(in text: String, phase: FailurePhase, endpoint: String?) -> PostgresError {
        var error = error(in: text, phase: phase).limited
        error.endpoint = endpoint
        return error
    }

    private static func error(in text: String, phase: FailurePhase) -> PostgresError {
        guard let error = serverError(in: text, phase: phase) else { return clientError(in: text, phase: phase) }
        // A server refuses what came in the clear because a file on this side kept TLS from being tried.
        if phase == .connecting, error.disposition == .configuration, let own = ClientRefusal.ownSetting(in: text) {
            return refusalError(own, in: text)
        }
        return withoutFileNames(error, phase: phase)
    }

    // MARK: What the server said

    /// Finds `SEVERITY:  SQLSTATE: message`, two spaces after the first colon.
    private static func serverError(in text: String, phase: FailurePhase) -> PostgresError? {
        var found: PostgresError?
        for line in text.split(separator: "\n") {
            if var error = found {
                // The lines that follow belong to it.
                if let detail = value(of: "DETAIL:  ", in: line) { error.detail = detail }
                if let hint = value(of: "HINT:  ", in: line) { error.hint = hint }
                found = error
            } else if let error = serverError(inLine: line, phase: phase) {
                found = error
            }
        }
        return found
    }

    private static func serverError(inLine line: Substring, phase: FailurePhase) -> PostgresError? {
        var rest = line[...]
        while let gap = rest.firstRange(of: ":  ") {
            let severityName = rest[..<gap.lowerBound].split(separator: " ").last.map(String.init) ?? ""
            rest = rest[gap.upperBound...]
            guard let colon = rest.firstIndex(of: ":"), let state = SQLState(rawValue: String(rest[..<colon])) else {
                continue
            }
            let severity = Severity(rawValue: severityName) ?? (phase == .connecting ? .fatal : .error)
            let message = String(rest[rest.index(after: colon)...].drop { $0 == " " })
            return PostgresError(
                code: state.rawValue, severity: severity, message: message,
                disposition: PgBouncerMessage.disposition(of: message, state: state)
                    ?? state.disposition(severity: severity, phase: phase))
        }
        return nil
    }

    private static func value(of label: String, in line: Substring) -> String? {
        line.hasPrefix(label) ? String(line.dropFirst(label.count)) : nil
    }

    // MARK: What libpq or the kernel said

    private struct Rule {
        let pattern: String
        let code: String
        let disposition: Disposition
        let message: String
        var hint: String?
    }

    /// The first pattern found in the text decides; the more specific ones stand first.
    private static let rules: [Rule] = [
        Rule(
            pattern: "session is read-only", code: PostgresError.Code.wrongRole, disposition: .wrongRole,
            message: "the server is read-only, and target_session_attrs asks for read-write"),
        Rule(
            pattern: "session is not read-only", code: PostgresError.Code.wrongRole, disposition: .wrongRole,
            message: "the server is not read-only, and target_session_attrs asks for read-only"),
        Rule(
            pattern: "server is in hot standby mode", code: PostgresError.Code.wrongRole, disposition: .wrongRole,
            message: "the server is a standby, and target_session_attrs asks for a primary"),
        Rule(
            pattern: "server is not in hot standby mode", code: PostgresError.Code.wrongRole, disposition: .wrongRole,
            message: "the server is a primary, and target_session_attrs asks for a standby"),
        Rule(
            pattern: "Connection refused", code: PostgresError.Code.refused, disposition: .outage,
            message: "connection refused: no PostgreSQL is listening there"),
        Rule(
            pattern: "Connection reset by peer", code: PostgresError.Code.reset, disposition: .outage,
            message: "the connection was reset"),
        Rule(
            pattern: "Broken pipe", code: PostgresError.Code.reset, disposition: .outage,
            message: "the connection was reset"),
        Rule(
            pattern: "Connection timed out", code: PostgresError.Code.timedOut, disposition: .outage,
            message: "the server's host does not answer"),
        Rule(
            pattern: "No route to host", code: PostgresError.Code.hostUnreachable, disposition: .outage,
            message: "there is no way to the server's host"),
        Rule(
            pattern: "Network is unreachable", code: PostgresError.Code.networkUnreachable, disposition: .outage,
            message: "there is no way to the server's network"),
        Rule(
            pattern: "No such file or directory", code: PostgresError.Code.noSuchSocket, disposition: .outage,
            message: "no PostgreSQL is listening on the Unix socket",
            hint: "If the database is on another host, name it in DATABASE_URL or PGHOST."),
        Rule(
            pattern: "could not translate host name", code: PostgresError.Code.nameUnknown, disposition: .outage,
            message: "the server's host name is not known"),
        Rule(
            pattern: "server closed the connection unexpectedly", code: PostgresError.Code.ended, disposition: .outage,
            message: "the server closed the connection without a word"),
        Rule(
            pattern: "SSL SYSCALL error: EOF detected", code: PostgresError.Code.ended, disposition: .outage,
            message: "the server closed the connection without a word"),
        Rule(
            pattern: "SSL connection has been closed unexpectedly", code: PostgresError.Code.ended,
            disposition: .outage, message: "the server closed the connection without a word"),
        Rule(
            pattern: "timeout expired", code: PostgresError.Code.connectTimeout, disposition: .outage,
            message: "connecting took longer than its deadline"),
    ]

    /// What libpq says before it has opened a socket, when a value of the connection string cannot be used.
    private static let conninfoPatterns = [
        "invalid ", "could not match ", "definition of service", "service file",
    ]

    private static func clientError(in text: String, phase: FailurePhase) -> PostgresError {
        if phase == .connecting, let refusal = ClientRefusal.found(in: text) { return refusalError(refusal, in: text) }
        if let rule = rules.first(where: { text.contains($0.pattern) }) {
            return PostgresError(
                code: rule.code, message: rule.message, hint: rule.hint,
                // Of an established session a reset or an end says that this connection is gone, and perhaps more.
                disposition: rule.disposition)
        }
        let reason = withoutFileNames(reason(in: text))
        if phase == .connecting,
            conninfoPatterns.contains(where: { text.hasPrefix($0) || text.contains("failed: \($0)") })
        {
            return PostgresError(
                code: PostgresError.Code.conninfo, message: "the connection settings cannot be used: \(reason)",
                disposition: .configuration)
        }
        return PostgresError(
            code: PostgresError.Code.connection,
            message: reason.isEmpty ? "the connection failed and libpq does not say why" : reason,
            disposition: .outage)
    }

    private static func refusalError(_ refusal: ClientRefusal, in text: String) -> PostgresError {
        // With `sslmode=prefer` there is a line for each try.
        let line = text.split(separator: "\n").first { $0.contains(refusal.pattern) }
        var detail = refusal.isQuoted ? line.map { withoutFileNames(reason(in: String($0))) } : nil
        // Kerberos names the file of its tickets, without quotes.
        if let text = detail, let cache = text.firstRange(of: " (default cache: ") {
            detail = String(text[..<cache.lowerBound])
        }
        return PostgresError(
            code: refusal.code, message: refusal.message, detail: detail, hint: refusal.hint,
            disposition: .configuration)
    }

    /// The first line without libpq's `connection to server at "…", port … failed: `.
    private static func reason(in text: String) -> String {
        let line = text.split(separator: "\n").first ?? ""
        guard line.hasPrefix("connection to server"), let end = line.firstRange(of: " failed: ") else {
            return String(line)
        }
        return String(line[end.upperBound...])
    }

    /// Quoted text may hold a file name, or a piece of a connection string that may be a password – with a quote in it,
    /// perhaps: everything from the first quote to the last is left out, or to the end where there is only one.
    static func withoutFileNames(_ text: String) -> String {
        guard let first = text.firstIndex(of: "\"") else { return text }
        let last = text.lastIndex(of: "\"") ?? first
        let rest = last > first ? text[text.index(after: last)...] : ""
        return text[..<first] + "\"…\"" + rest
    }

    /// Server errors of these classes (system_error, internal_error) name the server's files; so does a DETAIL at times.
    static func withoutFileNames(_ error: PostgresError, phase: FailurePhase) -> PostgresError {
        var error = error
        if error.code.hasPrefix("58") || error.code.hasPrefix("XX") {
            error.message = withoutFileNames(error.message)
            error.detail = error.detail.map(withoutFileNames)
            error.hint = error.hint.map(withoutFileNames)
        } else if phase == .connecting {
            error.detail = error.detail.map(withoutFileNames)
        }
        return error
    }
}
