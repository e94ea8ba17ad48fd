package import DispatchHTTP
package import DispatchLoop
package import DispatchPostgres
import HTTP1
import HTTPTypes

/// Serves `/status` and `/events`: hears what happens, remembers it in a ``StatusHistory``, and tells all viewers at once.
///
/// However many watch, each tick is encoded once and its bytes are sent to all; whoever connects within a tick gets the
/// same snapshot. A tick goes out when something has changed, at most four in a second, and once a second in any case:
/// that is the sign of life by which a page tells a quiet service from a lost one. Without viewers there is no timer.
/// Who does not read is dropped by the server, and when the server drains it ends the streams (`BodyStream`).
@LoopActor
package final class StatusHub {
    /// How often at most something is sent.
    static let shortest = Duration.milliseconds(250)
    /// How often at least something is sent.
    static let longest = Duration.seconds(1)

    private let pool: PostgresPool
    private let viewerLimit: Int
    private let loop = EventLoop.shared
    private let page = StatusPage.standard
    private let boot: String
    private(set) var history: StatusHistory
    private var viewers: [ObjectIdentifier: BodyStream] = [:]
    private var timer: TimerID?

    /// What the viewers were told last, when, and up to which second.
    private var told: StatusReport?
    private var lastSentAt: MonotonicTime
    private var lastSentSecond = 0
    private var lastSentPast: Past?
    /// The snapshot and the page of this moment, for all who ask within the same tick.
    private var snapshot: (bytes: [UInt8], at: MonotonicTime)?
    private var rendered: (response: Response, at: MonotonicTime)?
    /// How many events have been encoded. For the tests: it must not depend on how many watch.
    private(set) var encodings = 0

    /// By what a change of the past is told.
    private struct Past: Equatable {
        var latest: StatusHistory.PastOutage?
        var bridged: Int
    }

    /// - Parameters:
    ///   - pool: Whose state is shown.
    ///   - viewerLimit: How many may watch at a time.
    package init(pool: PostgresPool, viewerLimit: Int) {
        self.pool = pool
        self.viewerLimit = viewerLimit
        let now = EventLoop.shared.now
        history = StatusHistory(start: now)
        lastSentAt = now
        boot = String(UInt64.random(in: 0 ... .max), radix: 36)
    }

    /// How many watch.
    package var viewerCount: Int { viewers.count }

    /// Whether there is something to be done by time; only while somebody watches.
    var hasTimer: Bool { timer != nil }

    /// Adds the routes.
    package func add(to router: inout Router) {
        router.get("/status") { [self] _ in .now(currentPage()) }
        router.get("/events") { [self] _ in events() }
    }

    // MARK: The page

    private func currentPage() -> Response {
        let now = loop.now
        if let rendered, now - rendered.at < Self.shortest { return rendered.response }
        history.advance(to: now)
        let (report, clock) = present(at: now)
        let response = page.response(report, clock, history)
        rendered = (response, now)
        return response
    }

    private func present(at now: MonotonicTime) -> (StatusReport, StatusClock) {
        let snapshot = pool.snapshot
        let wall = WallClock.now()
        return (
            StatusReport(snapshot, history, viewers: viewers.count),
            StatusClock(
                sinceStart: now - history.start, wallMilliseconds: wall.seconds * 1_000 + wall.milliseconds,
                nextAttempt: snapshot.nextAttempt)
        )
    }

    // MARK: Viewers

    private static let streamHead: Response = {
        var fields: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
        ]
        // Proxies such as nginx would collect the events otherwise.
        if let name = HTTPField.Name("X-Accel-Buffering") { fields[name] = "no" }
        return Response(status: .ok, fields: fields).prepared()
    }()

    private func events() -> RouteResult {
        guard viewers.count < viewerLimit else {
            return .now(
                ErrorBody.response(.serviceUnavailable, "As many watch as may.", fields: [.retryAfter: "5"]))
        }
        return .stream(Self.streamHead) { [weak self] stream in self?.welcome(stream) }
    }

    private func welcome(_ stream: BodyStream) {
        let now = loop.now
        history.advance(to: now)
        viewers[ObjectIdentifier(stream)] = stream
        stream.onClose = { [weak self, id = ObjectIdentifier(stream)] _ in self?.drop(id) }
        if timer == nil {
            // Ticks tell what has changed since the last one, and this viewer's snapshot is newer than any.
            (told, lastSentAt, lastSentSecond, lastSentPast) = (nil, now, history.currentSecond, nil)
            schedule(at: now + Self.shortest)
        }
        stream.send(currentSnapshot(at: now))
    }

    private func drop(_ id: ObjectIdentifier) {
        viewers[id] = nil
        guard viewers.isEmpty, let timer else { return }
        loop.cancel(timer)
        self.timer = nil
        snapshot = nil
    }

    private func currentSnapshot(at now: MonotonicTime) -> [UInt8] {
        if let snapshot, now - snapshot.at < Self.shortest, snapshot.at >= lastSentAt { return snapshot.bytes }
        history.advance(to: now)
        let (report, clock) = present(at: now)
        let bytes = StatusFeed.snapshot(report, clock, history, boot: boot).bytes
        encodings += 1
        snapshot = (bytes, now)
        return bytes
    }

    // MARK: Ticks

    private func schedule(at time: MonotonicTime) {
        timer = loop.schedule(at: time) { [weak self] in self?.tick() }
    }

    private func tick() {
        let now = loop.now
        timer = nil
        guard !viewers.isEmpty else { return }
        history.advance(to: now)
        let (report, clock) = present(at: now)
        if report != told || now >= lastSentAt + Self.longest { send(report, clock, at: now) }
        schedule(at: now + Self.shortest)
    }

    private func send(_ report: StatusReport, _ clock: StatusClock, at now: MonotonicTime) {
        let past = Past(latest: history.outages.first, bridged: history.bridged.count)
        let event = StatusFeed.tick(report, clock, history, from: lastSentSecond, withPast: past != lastSentPast)
        encodings += 1
        (told, lastSentAt, lastSentSecond, lastSentPast) = (report, now, history.currentSecond, past)
        broadcast(event.bytes)
    }

    /// The same bytes to everybody.
    func broadcast(_ bytes: [UInt8]) {
        for stream in viewers.values { stream.send(bytes) }
    }
}

extension StatusHub: PoolDelegate {
    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard case .healthChanged(_, let health, let outage, let time) = event else { return }
        history.healthChanged(to: health, outage: outage, at: time)
        rendered = nil
        // Seen at once, not at the next tick; and however it flaps, not more often than that.
        guard let timer, loop.now >= lastSentAt + Self.shortest else { return }
        loop.cancel(timer)
        schedule(at: loop.now)
    }
}

/// A `/ping` that was answered is a point in the timeline.
extension StatusHub: ServerObserver {
    package func answered(_ exchange: Exchange) {
        let method = exchange.request.method
        guard method == .get || method == .head, exchange.request.hasPath("/ping") else { return }
        history.pinged(afterNanoseconds: exchange.nanoseconds, failed: exchange.status != 200, at: loop.now)
    }
}
