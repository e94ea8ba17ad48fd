internal import CLibPQ
package import DispatchLoop
internal import Glibc

/// A `PQconnectPoll` that computes for milliseconds or blocks, and so runs on a helper thread. SCRAM-SHA-256 hashes as
/// many rounds as the *server* demands (RFC 5802 §2.2): 4 ms for the usual 4,096, a second for a million. TLS computes
/// keys as well, and GSSAPI waits for a Kerberos server.
///
/// ``LoginHelpers/run(_:)`` passes the PGconn to the helper. The completion returns it to the loop, unless the poll was
/// abandoned: the helper then closes it when libpq returns, and the loop never waits for that.
///
/// ```
///   queued ──▶ running ──▶ over
///      └──────────────────▶ over   (abandoned, or queued for too long)
/// ```
@LoopActor
final class OffLoopPoll {
    /// The slow work.
    enum Kind: Sendable { case keys, tls, gss }

    enum Outcome {
        case polled(PostgresPollingStatusType)
        /// No helper became free in time, or none could be started.
        case refused(PostgresError)
    }

    /// The thread that owns the PGconn; `helperToClose` after the loop abandoned the poll.
    enum Owner { case helper, helperToClose, loop }

    let kind: Kind
    /// The PGconn as a number, which is Sendable.
    let handle: UInt
    /// Kept alive, because libpq holds a pointer to it.
    private let notices: NoticeReceiver
    let completion: @LoopActor (Outcome) -> Void
    /// Called when the helper has closed an abandoned poll's socket.
    var released: (@LoopActor () -> Void)?
    let owner = Locked(Owner.helper)
    var queueTimer: TimerID?

    init(
        _ connection: OpaquePointer, _ notices: NoticeReceiver, kind: Kind,
        completion: @escaping @LoopActor (Outcome) -> Void
    ) {
        handle = UInt(bitPattern: connection)
        self.notices = notices
        self.kind = kind
        self.completion = completion
    }

    /// The slow work in libpq's next poll; `nil` if it has none.
    static func kind(of connection: OpaquePointer, negotiatesGSS: Bool) -> Kind? {
        switch PQstatus(connection) {
        case CONNECTION_AWAITING_RESPONSE: .keys
        case CONNECTION_SSL_STARTUP: .tls
        case CONNECTION_GSS_STARTUP: .gss
        // Looks for credentials, possibly in another service.
        case CONNECTION_MADE where negotiatesGSS: .gss
        default: nil
        }
    }
}

/// The threads for slow polls, shared by all attempts of the process: one per processor, because they compute, and at
/// most ``maximumThreads``.
///
/// They run at the loop's priority: in three runs of the fault matrix each, niceness 2 and 5 did not change the p99 of
/// a request that needs no database.
///
/// Each poll has a new thread, which costs 30 µs (measured). An idle worker would have to be joined at exit.
@LoopActor
package final class LoginHelpers {
    package static let shared = LoginHelpers(limit: min(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 2), maximumThreads))
    static let maximumThreads = 4
    /// Maximum queued polls. Each holds a socket, which pools limit further.
    static let queueLimit = 1_000
    /// Queued polls fail when no poll has started for this long. Ten logins with usual keys take a tenth of it.
    nonisolated static let defaultQueueTimeout = Duration.seconds(1)

    private let queueTimeout: Duration
    /// Maximum running polls.
    let limit: Int
    private var running = 0
    private var queue: [OffLoopPoll] = []
    private let loop = EventLoop.shared
    /// Running polls by kind.
    private var kinds: [OffLoopPoll.Kind: Int] = [:]
    private var latestStart = MonotonicTime(nanoseconds: 0)

    init(limit: Int, queueTimeout: Duration = defaultQueueTimeout) {
        self.limit = limit
        self.queueTimeout = queueTimeout
    }

    /// Runs a poll as soon as a thread is free. Calls its completion later, unless it is abandoned.
    func run(_ poll: OffLoopPoll) {
        if running < limit {
            begin(poll)
        } else if queue.count < Self.queueLimit {
            queue.append(poll)
            armQueueTimer(of: poll, until: latestStart + queueTimeout)
        } else {
            refuse(poll, overload)
        }
    }

    /// Abandons a poll and its PGconn. Calls `released` when the socket is closed.
    ///
    /// - Returns: whether the socket is closed already; `released` is not called then.
    func abandon(_ poll: OffLoopPoll, released: @escaping @LoopActor () -> Void) -> Bool {
        if let index = queue.firstIndex(where: { $0 === poll }) {
            queue.remove(at: index)
            if let timer = poll.queueTimer { loop.cancel(timer) }
            PQfinish(OpaquePointer(bitPattern: poll.handle))
            return true
        }
        let isDone = poll.owner.withLock { owner in
            if owner == .helper { owner = .helperToClose }
            return owner == .loop
        }
        poll.released = released
        // libpq has returned, and the completion is on its way to the loop.
        if isDone { PQfinish(OpaquePointer(bitPattern: poll.handle)) }
        return isDone
    }

    /// Fails a queued poll when none has started for ``queueTimeout``.
    private func armQueueTimer(of poll: OffLoopPoll, until end: MonotonicTime) {
        poll.queueTimer = loop.schedule(at: end) {
            let end = self.latestStart + self.queueTimeout
            if end > .now() { return self.armQueueTimer(of: poll, until: end) }
            poll.queueTimer = nil
            self.queue.removeAll { $0 === poll }
            poll.owner.withLock { $0 = .loop }
            poll.completion(.refused(self.overload))
        }
    }

    private func begin(_ poll: OffLoopPoll) {
        let handle = poll.handle
        let owner = poll.owner
        let hasStarted = startThread {
            let status = PQconnectPoll(OpaquePointer(bitPattern: handle))
            let isAbandoned = owner.withLock { owner in
                defer { if owner == .helper { owner = .loop } }
                return owner == .helperToClose
            }
            if isAbandoned { PQfinish(OpaquePointer(bitPattern: handle)) }
            EventLoop.shared.submit { self.finished(poll, status, isClosed: isAbandoned) }
        }
        guard hasStarted else {
            return refuse(poll, .connectionFailed("the system cannot create a thread for the login"))
        }
        running += 1
        latestStart = .now()
        kinds[poll.kind, default: 0] += 1
    }

    private func refuse(_ poll: OffLoopPoll, _ error: PostgresError) {
        poll.owner.withLock { $0 = .loop }
        loop.submit {
            // Unless it has been abandoned.
            if poll.released == nil { poll.completion(.refused(error)) }
        }
    }

    private func finished(_ poll: OffLoopPoll, _ status: PostgresPollingStatusType, isClosed: Bool) {
        running -= 1
        kinds[poll.kind, default: 1] -= 1
        if isClosed {
            poll.released?()
        } else if poll.released == nil {
            poll.completion(.polled(status))
        }
        while running < limit, !queue.isEmpty {
            let next = queue.removeFirst()
            if let timer = next.queueTimer { loop.cancel(timer) }
            next.queueTimer = nil
            begin(next)
        }
    }

    /// The reason that no thread is free: the most frequent work.
    private var overload: PostgresError {
        let kind = kinds.max { $0.value < $1.value }?.key ?? .keys
        return .slowLogin(kind, busy: kinds[kind, default: 0])
    }
}

extension PostgresError {
    /// The error of a login that is too slow on this side.
    ///
    /// - Parameters:
    ///   - kind: the slow work.
    ///   - busy: the number of other logins whose work blocks this one; `nil` if the work is its own.
    static func slowLogin(_ kind: OffLoopPoll.Kind, busy: Int? = nil) -> PostgresError {
        let others = busy.map { $0 == 1 ? "another login is still" : "\($0) other logins are still" } ?? "it is still"
        let work =
            switch kind {
            case .keys: "computing the keys of SCRAM; the server demands many rounds"
            case .tls: "computing the TLS handshake"
            case .gss: "waiting for Kerberos"
            }
        return PostgresError(
            code: Code.loginKeys, message: "logging in takes too long: \(others) \(work)",
            hint: kind == .keys ? manyRoundsHint : nil, disposition: .outage)
    }

    static let manyRoundsHint = "Lower scram_iterations on the server and set the password again."
}
