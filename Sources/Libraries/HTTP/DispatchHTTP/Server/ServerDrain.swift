internal import DispatchLoop

/// The server's shutdown, as a value. Its inputs are the calls of `HTTPServer`, the time, and the activity of each
/// connection; its outputs are the steps that are due, a verdict for each connection, and the end of the shutdown.
///
/// ```
/// serving ─announce→ announced ─drain→ announced, scheduled ─delay over→ leaving ─no connection left→ left
///    └─────────────drain────────────────▲                       └─deadline→ (idle drained, rest forced) → left
/// ```
/// - serving: connections persist.
/// - announced: the server still accepts connections. Each response says `Connection: close`, so clients go elsewhere.
/// - leaving: the server accepts no connection and ends streams, which never end on their own. An idle connection
///   closes after a grace period, a busy one after its response.
/// - left: no connection is open, or all are being closed by force.
struct ServerDrain {
    enum Stage: Equatable {
        case serving
        case announced(Schedule?)
        case leaving(by: MonotonicTime)
        case left
    }

    /// When an announced server stops accepting connections, and when it closes those that are still open.
    struct Schedule: Equatable {
        var start: MonotonicTime
        var deadline: MonotonicTime
    }

    /// The server's action at a scheduled time.
    enum Step: Equatable {
        /// Stop accepting; perform ``verdictAtStart(on:)``.
        case leave
        /// Perform ``verdictAtDeadline(on:)``.
        case forceRest
    }

    /// The activity of a connection.
    enum Doing: CaseIterable {
        /// It waits for a request.
        case idle
        /// It has a part of a request, a handler works on one, or a response is not sent yet.
        case busy
        /// It streams a response, and the client keeps up.
        case streaming
        /// It streams a response, and the client is behind.
        case streamingBehind
        /// It has sent its last response and is half-closed.
        case lingering
    }

    /// The server's action on a connection.
    enum Verdict: Equatable {
        /// Leave it alone.
        case goesOn
        /// Close it once it has been idle for the grace period.
        case awaitsRequest
        /// End its stream properly.
        case endStream
        /// Close it and discard unsent bytes.
        case abort
        /// Close it; no request is lost.
        case close
        /// Close it although a request is unanswered.
        case force
    }

    private(set) var stage = Stage.serving

    /// Whether each response says `Connection: close`.
    var isAnnounced: Bool { stage != .serving }

    /// Whether the server accepts no more connections.
    var isLeaving: Bool {
        switch stage {
        case .serving, .announced: false
        case .leaving, .left: true
        }
    }

    /// Makes each response from now on the last one of its connection.
    ///
    /// - Returns: `false` if the drain was announced already.
    mutating func announce() -> Bool {
        guard stage == .serving else { return false }
        stage = .announced(nil)
        return true
    }

    /// Schedules the shutdown. If called several times, the earliest start and the earliest deadline apply.
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

    /// The time of the next step.
    var nextStep: MonotonicTime? {
        switch stage {
        case .serving, .announced(nil), .left: nil
        case .announced(let schedule?): schedule.start
        case .leaving(let deadline): deadline
        }
    }

    /// Advances to `now`.
    ///
    /// - Returns: the step that is due, if any. Another one may be due at the same time.
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
    func verdictAtDeadline(on doing: Doing) -> Verdict {
        switch doing {
        case .idle, .lingering: .close
        case .busy, .streaming, .streamingBehind: .force
        }
    }

    /// Notes the number of open connections.
    ///
    /// - Returns: whether this call completes the shutdown.
    mutating func connections(_ count: Int) -> Bool {
        guard count == 0, case .leaving = stage else { return false }
        stage = .left
        return true
    }
}
