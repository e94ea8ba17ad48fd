internal import CLibPQ

/// What the server says without being asked, kept for one session.
///
/// An idle session's end arrives as a notice with severity FATAL while libpq still calls the connection good; the next
/// read then finds the end of the stream. Immediate shutdown and crash send a WARNING with 57P01 or 57P02 first. Without
/// listening here, all of these look like an end without a word.
final class NoticeReceiver {
    /// The notice that announced the session's end, if there was one.
    private(set) var ending: PostgresError? { didSet { hasEnding = ending != nil } }
    /// Whether there was one; asked after each event, and cheaper than the error.
    private(set) var hasEnding = false

    /// Installs the receiver; without one, libpq prints notices to stderr. The notices must outlive the connection.
    func install(on connection: OpaquePointer) {
        PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(self).toOpaque())
    }

    fileprivate func receive(_ result: OpaquePointer) {
        let error = ServerMessage.error(of: result, phase: .session)
        if ending == nil, error.endsSession || error.code.hasPrefix("57P0") { ending = error }
    }
}

/// A free function: a closure written where an actor is the context carries a check of it and traps in C's hands.
private func receiveNotice(_ argument: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {
    guard let argument, let result else { return }
    Unmanaged<NoticeReceiver>.fromOpaque(argument).takeUnretainedValue().receive(result)
}

/// An error or notice of the server, read from a result's fields (PostgreSQL manual, 34.3.1, PQresultErrorField).
enum ServerMessage {
    static func error(of result: OpaquePointer, phase: FailurePhase) -> PostgresError {
        func field(_ name: Character) -> String? {
            guard let ascii = name.asciiValue, let value = PQresultErrorField(result, Int32(ascii)) else { return nil }
            return String(cString: value)
        }
        // V: the severity that is never localised, S: the one that may be, all that PgBouncer sends; C: the SQLSTATE;
        // M, D, H: message, detail, hint.
        let severity = (field("V") ?? field("S")).flatMap(Severity.init(rawValue:)) ?? .error
        let state = field("C").flatMap(SQLState.init(rawValue:))
        guard let state else {
            // libpq itself made the result: it found the connection out of step or lost.
            let text = String(cString: PQresultErrorMessage(result))
            return LibpqMessageParser.error(in: text, phase: phase, endpoint: nil)
        }
        let message = field("M") ?? "no message"
        let error = PostgresError(
            code: state.rawValue, severity: severity, message: message, detail: field("D"), hint: field("H"),
            disposition: PgBouncerMessage.disposition(of: message, state: state)
                ?? state.disposition(severity: severity, phase: phase))
        return LibpqMessageParser.withoutFileNames(error, phase: phase).limited
    }
}
