/// Parses libpq's message about a failed connect or a lost connection.
///
/// The API has no SQLSTATE for a failed connect. With `PQERRORS_VERBOSE`, set right after `PQconnectStart`, the text
/// has it: `FATAL:  57P03: the database system is starting up`, and `LOCATION:` lines with the server's source files,
/// which are dropped. The texts of libpq and of the C library are always English, because Swift programs do not call
/// `setlocale`. The server may localize the severity; its position in the text is fixed.
package enum LibpqMessageParser {
    /// The error described by `text`, libpq's message.
    package static func error(in text: String, phase: FailurePhase, endpoint: String?) -> PostgresError {
        var error = error(in: text, phase: phase).limited
        error.endpoint = endpoint
        return error
    }

    private static func error(in text: String, phase: FailurePhase) -> PostgresError {
        guard let error = serverError(in: text, phase: phase) else { return clientError(in: text, phase: phase) }
        // A local file kept libpq from trying TLS, and the server refuses unencrypted connections.
        if phase == .connecting, error.disposition == .configuration, let own = ClientRefusal.ownSetting(in: text) {
            return refusalError(own, in: text)
        }
        return withoutFileNames(error, phase: phase)
    }

    // MARK: Server errors

    /// Finds `SEVERITY:  SQLSTATE: message`, two spaces after the first colon.
    private static func serverError(in text: String, phase: FailurePhase) -> PostgresError? {
        var found: PostgresError?
        for line in text.split(separator: "\n") {
            if var error = found {
                // The lines after the error belong to it.
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

    // MARK: Errors of libpq and the kernel

    private struct Rule {
        let pattern: String
        let code: String
        var disposition = Disposition.outage
        var hint: String?
    }

    /// The first pattern found in the text decides, so the more specific ones come first.
    private static let rules: [Rule] = [
        role("session is read-only", "target_session_attrs asks for a server that takes writes."),
        role("session is not read-only", "target_session_attrs asks for a read-only server."),
        role("server is in hot standby mode", "target_session_attrs asks for a primary."),
        role("server is not in hot standby mode", "target_session_attrs asks for a standby."),
        Rule(pattern: "Connection refused", code: Code.refused, hint: "No PostgreSQL listens on that host and port."),
        Rule(pattern: "Connection reset by peer", code: Code.reset),
        Rule(pattern: "Broken pipe", code: Code.reset),
        Rule(pattern: "Connection timed out", code: Code.timedOut, hint: "The server's host does not answer."),
        Rule(pattern: "No route to host", code: Code.hostUnreachable),
        Rule(pattern: "Network is unreachable", code: Code.networkUnreachable),
        Rule(
            pattern: "No such file or directory", code: Code.noSuchSocket,
            hint: "No PostgreSQL listens on the Unix socket. If the database is on another host, name it in "
                + "DATABASE_URL or PGHOST."),
        Rule(pattern: "could not translate host name", code: Code.nameUnknown),
        Rule(pattern: "server closed the connection unexpectedly", code: Code.ended),
        Rule(pattern: "SSL SYSCALL error: EOF detected", code: Code.ended),
        Rule(pattern: "SSL connection has been closed unexpectedly", code: Code.ended),
        Rule(pattern: "timeout expired", code: Code.connectTimeout),
    ]

    private typealias Code = PostgresError.Code

    private static func role(_ pattern: String, _ hint: String) -> Rule {
        Rule(pattern: pattern, code: Code.wrongRole, disposition: .wrongRole, hint: hint)
    }

    /// libpq's messages about an unusable value of the connection string, before it opens a socket.
    private static let conninfoPatterns = [
        "invalid ", "could not match ", "definition of service", "service file",
    ]

    private static func clientError(in text: String, phase: FailurePhase) -> PostgresError {
        if phase == .connecting, let refusal = ClientRefusal.found(in: text) { return refusalError(refusal, in: text) }
        if let rule = rules.first(where: { text.contains($0.pattern) }) {
            return PostgresError(
                code: rule.code, message: reason(in: text, with: rule.pattern), hint: rule.hint,
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
        return .connectionFailed(reason.isEmpty ? "the connection failed and libpq does not say why" : reason)
    }

    private static func refusalError(_ refusal: ClientRefusal, in text: String) -> PostgresError {
        var detail = refusal.isQuoted ? refusal.pattern(in: text).map { reason(in: text, with: $0) } : nil
        // Kerberos names its ticket file without quotes.
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

    /// libpq's words in the line that contains `pattern`; with `sslmode=prefer` the text has a line per try.
    private static func reason(in text: String, with pattern: String) -> String {
        let line = text.split(separator: "\n").first { $0.contains(pattern) }
        return withoutFileNames(reason(in: line.map(String.init) ?? text))
    }

    /// Replaces everything from the first quote to the last, or to the end if there is one quote only. Quoted text may
    /// be a file name, or part of a password, which may itself contain a quote.
    static func withoutFileNames(_ text: String) -> String {
        guard let first = text.firstIndex(of: "\"") else { return text }
        let last = text.lastIndex(of: "\"") ?? first
        let rest = last > first ? text[text.index(after: last)...] : ""
        return text[..<first] + "\"…\"" + rest
    }

    /// Server errors of classes 58 (system_error) and XX (internal_error) name files of the server, and so may a
    /// DETAIL.
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
