internal import CLibPQ
package import DispatchLoop
internal import Glibc

/// A step of connecting that takes the processor for milliseconds or waits for others, off the loop: the keys of
/// SCRAM-SHA-256 are as many rounds of hashing as the *server* says (RFC 5802 §2.2), 4 ms for the usual 4,096 and seconds
/// for a million; those of TLS are no less; GSSAPI talks to a Kerberos server meanwhile.
///
/// The PGconn belongs to the helper from ``LoginHelpers/run(_:)`` on. It comes back with the completion, unless the step
/// was abandoned: the helper then closes it as soon as libpq returns, and nothing waits for that.
///
/// ```
///   queued ──▶ running ──▶ over
///      └──────────────────▶ over   (abandoned, or waited too long)
/// ```
@LoopActor
final class OffLoopPoll {
    /// What takes so long.
    enum Kind: Sendable { case keys, tls, gss }

    enum Outcome {
        case polled(PostgresPollingStatusType)
        /// No helper was free in time, or none could be had.
        case refused(PostgresError)
    }

    /// Who closes the PGconn.
    enum Owner { case helper, helperWhenDone, loop }

    let kind: Kind
    /// A PGconn, as a number: it travels to the helper.
    let handle: UInt
    /// Hears what the server says meanwhile; libpq holds a pointer to it.
    private let notices: NoticeReceiver
    let completion: @LoopActor (Outcome) -> Void
    /// Called when an abandoned step has closed its socket.
    var released: (@LoopActor () -> Void)?
    let owner = Locked(Owner.helper)
    var patience: TimerID?

    init(
        _ connection: OpaquePointer, _ notices: NoticeReceiver, kind: Kind,
        completion: @escaping @LoopActor (Outcome) -> Void
    ) {
        handle = UInt(bitPattern: connection)
        self.notices = notices
        self.kind = kind
        self.completion = completion
    }

    /// What makes libpq's next step such a one; `nil` when it is none.
    static func kind(of connection: OpaquePointer, negotiatesGSS: Bool) -> Kind? {
        switch PQstatus(connection) {
        case CONNECTION_AWAITING_RESPONSE: .keys
        case CONNECTION_SSL_STARTUP: .tls
        case CONNECTION_GSS_STARTUP: .gss
        // Looks for credentials, which may be kept by a service.
        case CONNECTION_MADE where negotiatesGSS: .gss
        default: nil
        }
    }
}

/// The threads that steps run on: as many at a time as there are processors, for they compute, and no more than
/// ``mostThreads``. The steps of all attempts of the process share them.
///
/// They run at the loop's priority: in three runs of the matrix each, niceness of 2 and 5 made no difference to the p99 of `/`.
///
/// A thread serves one step. It is made anew each time, 30 µs where this was measured: one that waited for work would have
/// to be waited for when the process leaves.
@LoopActor
package final class LoginHelpers {
    package static let shared = LoginHelpers(limit: min(max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 2), mostThreads))
    static let mostThreads = 4
    /// The most steps that wait for a thread. Each is a socket, of which pools allow only so many.
    static let queueLimit = 1_000
    /// How long no thread may have been free before the steps that wait for one fail: ten log-ins with usual keys take a
    /// tenth of it.
    nonisolated static let standardPatience = Duration.seconds(1)

    private let patience: Duration
    /// The most steps that run at a time.
    let limit: Int
    private var running = 0
    private var queue: [OffLoopPoll] = []
    private let loop = EventLoop.shared
    /// How many steps of each kind are running.
    private var kinds: [OffLoopPoll.Kind: Int] = [:]
    private var latestStart = MonotonicTime(nanoseconds: 0)

    init(limit: Int, patience: Duration = standardPatience) {
        self.limit = limit
        self.patience = patience
    }

    /// Runs a step as soon as a thread is free. Its completion is called later, unless it is abandoned.
    func run(_ step: OffLoopPoll) {
        if running < limit {
            begin(step)
        } else if queue.count < Self.queueLimit {
            queue.append(step)
            armPatience(of: step, until: latestStart + patience)
        } else {
            refuse(step, overload)
        }
    }

    /// Gives a step up, and its connection. `released` is called when its socket is closed.
    ///
    /// - Returns: whether it is closed already; `released` is not called then.
    func abandon(_ step: OffLoopPoll, released: @escaping @LoopActor () -> Void) -> Bool {
        if let index = queue.firstIndex(where: { $0 === step }) {
            queue.remove(at: index)
            if let patience = step.patience { loop.cancel(patience) }
            PQfinish(OpaquePointer(bitPattern: step.handle))
            return true
        }
        let isDone = step.owner.withLock { owner in
            if owner == .helper { owner = .helperWhenDone }
            return owner == .loop
        }
        step.released = released
        // libpq has returned, but the loop has not taken the completion yet.
        if isDone { PQfinish(OpaquePointer(bitPattern: step.handle)) }
        return isDone
    }

    /// A step waits as long as the queue moves. Where nothing has moved for long, it fails with the reason.
    private func armPatience(of step: OffLoopPoll, until end: MonotonicTime) {
        step.patience = loop.schedule(at: end) {
            let end = self.latestStart + self.patience
            if end > .now() { return self.armPatience(of: step, until: end) }
            step.patience = nil
            self.queue.removeAll { $0 === step }
            step.owner.withLock { $0 = .loop }
            step.completion(.refused(self.overload))
        }
    }

    private func begin(_ step: OffLoopPoll) {
        let handle = step.handle
        let owner = step.owner
        let hasStarted = startThread {
            let status = PQconnectPoll(OpaquePointer(bitPattern: handle))
            let isAbandoned = owner.withLock { owner in
                defer { if owner == .helper { owner = .loop } }
                return owner == .helperWhenDone
            }
            if isAbandoned { PQfinish(OpaquePointer(bitPattern: handle)) }
            EventLoop.shared.submit { self.ended(step, status, isClosed: isAbandoned) }
        }
        guard hasStarted else {
            refuse(
                step,
                PostgresError(
                    code: PostgresError.Code.connection, message: "the system has no thread for the log-in",
                    disposition: .outage))
            return
        }
        running += 1
        latestStart = .now()
        kinds[step.kind, default: 0] += 1
    }

    private func refuse(_ step: OffLoopPoll, _ error: PostgresError) {
        step.owner.withLock { $0 = .loop }
        loop.submit {
            // It may have been abandoned meanwhile.
            if step.released == nil { step.completion(.refused(error)) }
        }
    }

    private func ended(_ step: OffLoopPoll, _ status: PostgresPollingStatusType, isClosed: Bool) {
        running -= 1
        kinds[step.kind, default: 1] -= 1
        if isClosed {
            step.released?()
        } else if step.released == nil {
            step.completion(.polled(status))
        }
        while running < limit, !queue.isEmpty {
            let next = queue.removeFirst()
            if let patience = next.patience { loop.cancel(patience) }
            next.patience = nil
            begin(next)
        }
    }

    /// Why none of the threads is free: what most of them do.
    private var overload: PostgresError {
        let kind = kinds.max { $0.value < $1.value }?.key ?? .keys
        return .slowLogin(kind, busy: kinds[kind, default: 0])
    }
}

extension PostgresError {
    /// A log-in has been held up on this side for long.
    ///
    /// - Parameters:
    ///   - kind: what by.
    ///   - busy: how many log-ins are at it, where it is others that hold this one up; `nil` where it is its own work.
    static func slowLogin(_ kind: OffLoopPoll.Kind, busy: Int? = nil) -> PostgresError {
        let who = busy.map { $0 == 1 ? "another log-in is still" : "\($0) other log-ins are still" } ?? "it is still"
        let work =
            switch kind {
            case .keys: "computing the keys of SCRAM; the server asks for very many rounds"
            case .tls: "computing the TLS handshake"
            case .gss: "waiting for Kerberos"
            }
        return PostgresError(
            code: Code.loginKeys, message: "logging in takes too long: \(who) \(work)",
            hint: kind == .keys ? manyRoundsHint : nil, disposition: .outage)
    }

    static let manyRoundsHint = "Lower scram_iterations on the server and set the password again."
}
