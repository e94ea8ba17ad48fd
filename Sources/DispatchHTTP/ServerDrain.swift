internal import DispatchLoop

/// How a server leaves. Pure: told what it is asked to do and what its connections are doing, it says what becomes of
/// each, and when it is done.
///
/// ```
/// serving ─announce→ announced ─leave→ leaving ─no connection left→ left
///    └──────────────leave──────────────▲  └─deadline→ (idle ones drained, the rest forced) → left
/// ```
/// - serving: answers say nothing of an end.
/// - announced: connections are still accepted. Each answer says `close`, so that clients go elsewhere by themselves.
/// - leaving: nothing is accepted. Streams, which have no end of their own, are cut. Who waits for nothing is let go after
///   a grace, everybody else once the answer is sent.
/// - left: no connection is open.
struct ServerDrain {
    enum Stage: Equatable {
        case serving
        case announced
        case leaving(by: MonotonicTime)
        case left
    }

    /// What a connection is doing.
    enum Doing: CaseIterable {
        /// It waits for a request.
        case idle
        /// A part of a request is here, or a handler works on one, or an answer is on its way.
        case busy
        /// An answer that has no end by itself goes on, and its client reads.
        case streaming
        /// The same, and its client is behind.
        case streamingBehind
        /// Its last answer is sent, and the client has not noticed.
        case lingering
    }

    /// What becomes of a connection.
    enum Verdict: Equatable {
        /// It goes on.
        case goesOn
        /// It closes as soon as it has been quiet for the grace.
        case awaitsRequest
        /// Its stream ends in order.
        case cutStream
        /// It ends without what it has not read.
        case abort
        /// It ends, and nothing is lost by it.
        case close
        /// It ends although it is not done.
        case force
    }

    private(set) var stage = Stage.serving
    /// How many connections were not done at the deadline.
    private(set) var forced = 0

    /// Whether each answer says that it is the last one.
    var isAnnounced: Bool { stage != .serving }

    /// Whether connections are accepted no more.
    var isLeaving: Bool {
        switch stage {
        case .serving, .announced: false
        case .leaving, .left: true
        }
    }

    /// From now on each answer is the last one of its connection. Returns whether that is news.
    mutating func announce() -> Bool {
        guard stage == .serving else { return false }
        stage = .announced
        return true
    }

    /// Leaves. Returns whether that is news; an earlier deadline counts also when it is not.
    mutating func leave(by deadline: MonotonicTime) -> Bool {
        switch stage {
        case .serving, .announced:
            stage = .leaving(by: deadline)
            return true
        case .leaving(let earlier):
            stage = .leaving(by: min(earlier, deadline))
            return false
        case .left: return false
        }
    }

    /// What becomes of a connection when leaving begins.
    func verdictAtStart(on doing: Doing) -> Verdict {
        switch doing {
        case .idle: .awaitsRequest
        case .busy, .lingering: .goesOn
        case .streaming: .cutStream
        case .streamingBehind: .abort
        }
    }

    /// What becomes of a connection at the deadline, after a look at its socket.
    mutating func verdictAtDeadline(on doing: Doing) -> Verdict {
        switch doing {
        case .idle, .lingering: return .close
        case .busy, .streaming, .streamingBehind:
            forced += 1
            return .force
        }
    }

    /// So many connections are open. Returns whether the server has left by that, just now.
    mutating func connections(_ count: Int) -> Bool {
        guard count == 0, case .leaving = stage else { return false }
        stage = .left
        return true
    }
}
