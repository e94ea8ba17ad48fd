internal import CLibPQ
internal import DispatchLoop

/// Collects the notices of one session and keeps those that say why it ends.
///
/// When an administrator terminates an idle session (57P01), the error arrives as a notice with severity FATAL while
/// libpq still calls the connection good. Immediate shutdown and crash send a WARNING with 57P01 or 57P02 and then
/// close the socket.
final class NoticeReceiver {
    /// The notice that ends the session: FATAL or PANIC of the server, or libpq's that the session is out of step.
    private(set) var fatalNotice: PostgresError? { didSet { hasFatalNotice = fatalNotice != nil } }
    /// Both are read on each check-out and each event. Comparing the error itself with `nil` copies it, which made a
    /// check-out 5 % slower.
    private(set) var hasFatalNotice = false
    private(set) var hasShutdownWarning = false
    /// The latest WARNING with 57P0x. It does not end the session, because any function can raise one; when the session
    /// ends, it is the reason.
    private(set) var shutdownWarning: PostgresError? { didSet { hasShutdownWarning = shutdownWarning != nil } }

    /// Why the session ends, as far as notices say so.
    var cause: PostgresError? { fatalNotice ?? shutdownWarning }

    /// Installs the receiver; without one, libpq prints notices to stderr. The receiver must outlive the connection.
    func install(on connection: OpaquePointer) {
        PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(self).toOpaque())
    }

    /// How libpq names a message that belongs to no statement (fe-protocol3.c, `pqParseInput3`). libpq has then lost
    /// its position in the protocol.
    private static let outOfStep = "arrived from server while idle"

    /// Keeps a notice if it says why the session ends. `severity` is `nil` for libpq's own, which have no SQLSTATE.
    func take(_ notice: PostgresError) {
        switch notice.severity {
        case .fatal, .panic:
            if fatalNotice == nil { fatalNotice = notice }
        case .warning where notice.code.hasPrefix("57P0"):
            shutdownWarning = notice
        case nil where notice.message.contains(Self.outOfStep) && fatalNotice == nil:
            fatalNotice = notice
            fatalNotice?.disposition = .discard
        case .error, .warning, .notice, .info, .log, .debug, nil: break
        }
        deliver(notice)
    }

    /// Receives each notice of a statement or of the log-in; on the loop, in the midst of libpq's work. Those that came
    /// before it was set are delivered first.
    var receiver: (@LoopActor (PostgresError) -> Void)? {
        didSet {
            let early = early
            self.early = []
            for notice in early { deliver(notice) }
        }
    }
    /// Of the log-in, such as that the collation version has changed.
    private var early: [PostgresError] = []
    private static let earlyLimit = 8

    private func deliver(_ notice: PostgresError) {
        // The session's end reports FATAL and PANIC. A notice without a severity is libpq's own.
        guard let severity = notice.severity, severity != .fatal, severity != .panic else { return }
        if let receiver {
            // On the loop: helper threads have a session only while it logs in, without a receiver.
            LoopActor.assumeIsolated { receiver(notice) }
        } else if early.count < Self.earlyLimit {
            early.append(notice)
        }
    }

    /// Forgets a warning that the session has outlived: a statement raised it, and the server has ended the statement.
    func statementEnded() {
        if !early.isEmpty { early = [] }
        if hasShutdownWarning { shutdownWarning = nil }
    }
}

/// A free function, because a closure made in an actor's context checks its executor, and traps when C calls it.
private func receiveNotice(_ argument: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {
    guard let argument, let result else { return }
    let notice = ServerMessage.error(of: result, phase: .session)
    Unmanaged<NoticeReceiver>.fromOpaque(argument).takeUnretainedValue().take(notice)
}

/// Reads an error or a notice from a result's fields (PostgreSQL manual, 34.3.1, PQresultErrorField).
enum ServerMessage {
    static func error(of result: OpaquePointer, phase: FailurePhase) -> PostgresError {
        func field(_ name: Character) -> String? {
            guard let ascii = name.asciiValue, let value = PQresultErrorField(result, Int32(ascii)) else { return nil }
            return String(cString: value)
        }
        // V: the severity that is never localized; S: the one that may be, and PgBouncer's only one; C: SQLSTATE; M, D,
        // H: message, detail, hint.
        let severity = (field("V") ?? field("S")).flatMap(Severity.init(rawValue:)) ?? .error
        let state = field("C").flatMap(SQLState.init(rawValue:))
        guard let state else {
            // libpq made the result: the connection is out of step, or lost.
            let text = String(cString: PQresultErrorMessage(result))
            return LibpqMessageParser.error(in: text, phase: phase, endpoint: nil)
        }
        let message = field("M") ?? "no message"
        var error = PostgresError(
            code: state.rawValue, severity: severity, message: message, detail: field("D"), hint: field("H"),
            disposition: PgBouncerMessage.disposition(of: message, state: state)
                ?? state.disposition(severity: severity, phase: phase))
        error.subject = subject(
            schema: field("s"), table: field("t"), column: field("c"), dataType: field("d"), constraint: field("n"),
            position: field("P").flatMap { Int($0) })
        return LibpqMessageParser.withoutFileNames(error, phase: phase).limited
    }

    private static func subject(
        schema: String?, table: String?, column: String?, dataType: String?, constraint: String?, position: Int?
    ) -> PostgresError.Subject? {
        let isEmpty = schema == nil && table == nil && dataType == nil && constraint == nil && position == nil
        if isEmpty { return nil }
        return PostgresError.Subject(
            schema: schema, table: table, column: column, dataType: dataType, constraint: constraint,
            position: position)
    }
}
