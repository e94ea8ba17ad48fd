internal import DispatchLoop

/// The server's shutdown, as a value. Its inputs are the calls of `HTTPServer`, the time, and what each connection is
/// doing; its outputs are the steps that are due, a verdict for each connection, and the moment at which the server has left.
///
/// ```
/// serving ─announce→ announced ─drain→ announced, scheduled ─delay over→ leaving ─no connection left→ left
///    └─────────────drain────────────────▲                       └─deadline→ (idle ones drained, the rest forced) → left
/// ```
/// - serving: connections persist.
/// - announced: the server still accepts connections. Each answer says `Connection: close`, so clients move elsewhere.
/// - leaving: the server accepts no connection and ends streams, which have no end of their own. An idle connection closes
///   after a grace, a busy one after its answer.
/// - left: no connection is open, or all are being closed by force.
struct ServerDrain {
    enum Stage: Equatable {
        case serving
        case announced(Schedule?)
        case leaving(by: MonotonicTime)
        case left
    }

    /// When an announced server stops to accept connections, and when it closes those that are still open.
    struct Schedule: Equatable {
        var start: MonotonicTime
        var deadline: MonotonicTime
    }

    /// What the server does when a time has come.
    enum Step: Equatable {
        /// Stop to accept; carry out ``verdictAtStart(on:)``.
        case leave
        /// Carry out ``verdictAtDeadline(on:)``.
        case forceRest
    }

    /// What a connection is doing.
    enum Doing: CaseIterable {
        /// It waits for a request.
        case idle
        /// It has a part of a request, a handler works on one, or an answer is not sent yet.
        case busy
        /// It streams an answer, and the client keeps up.
        case streaming
        /// It streams an answer, and the client is behind.
        case streamingBehind
        /// It has sent its last answer and is half-closed.
        case lingering
    }

    /// What the server does with a connection.
    enum Verdict: Equatable {
        /// Leave it alone.
        case goesOn
        /// Close it when it has been idle for the grace.
        case awaitsRequest
        /// End its stream in order.
        case endStream
        /// Close it and discard what the client has not read.
        case abort
        /// Close it; no request is lost.
        case close
        /// Close it although a request is unanswered.
        case force
    }

    private(set) var stage = Stage.serving
    /// How many connections were closed at the deadline with a request unanswered.
    private(set) var forced = 0

    /// Whether each answer says `Connection: close`.
    var isAnnounced: Bool { stage != .serving }

    /// Whether the server accepts no more connections.
    var isLeaving: Bool {
        switch stage {
        case .serving, .announced: false
        case .leaving, .left: true
        }
    }

    /// Makes each answer from now on the last one of its connection.
    ///
    /// - Returns: `false` if the drain was announced already.
    mutating func announce() -> Bool {
        guard stage == .serving else { return false }
        stage = .announced(nil)
        return true
    }

    /// Schedules the end. Of several calls the earlier start and the earlier deadline count.
    mutating func drain(from start: MonotonicTime, by deadline: MonotonicTime) {
        switch stage {
        case .serving, .announced(nil):
            stage = .announced(Schedule(start: min(start, deadline), deadline: deadline))
        case .announced(let earlier?):
            let deadline = min(earlier.deadline, deadline)
            stage = .announced(Schedule(start: min(earlier.start, start, deadline), deadline: deadline))
        case .leaving(let earlier): stage = .leaving(by: min(earlier, deadline))
        case .left: break
        }
    }

    /// When the next step is due.
    var nextStep: MonotonicTime? {
        switch stage {
        case .serving, .announced(nil), .left: nil
        case .announced(let schedule?): schedule.start
        case .leaving(let deadline): deadline
        }
    }

    /// Takes the time.
    ///
    /// - Returns: the step that is due, if one is. Another one may be due at the same time.
    mutating func step(at now: MonotonicTime) -> Step? {
        switch stage {
        case .announced(let schedule?) where now >= schedule.start:
            stage = .leaving(by: schedule.deadline)
            return .leave
        case .leaving(let deadline) where now >= deadline:
            stage = .left
            return .forceRest
        case .serving, .announced, .leaving, .left: return nil
        }
    }

    /// The verdict on a connection when leaving begins.
    func verdictAtStart(on doing: Doing) -> Verdict {
        switch doing {
        case .idle: .awaitsRequest
        case .busy, .lingering: .goesOn
        case .streaming: .endStream
        case .streamingBehind: .abort
        }
    }

    /// The verdict on a connection at the deadline, after a look at its socket.
    mutating func verdictAtDeadline(on doing: Doing) -> Verdict {
        switch doing {
        case .idle, .lingering: return .close
        case .busy, .streaming, .streamingBehind:
            forced += 1
            return .force
        }
    }

    /// Takes the number of open connections.
    ///
    /// - Returns: whether the server has left with this call.
    mutating func connections(_ count: Int) -> Bool {
        guard count == 0, case .leaving = stage else { return false }
        stage = .left
        return true
    }
}
