package import DispatchHTTP
package import DispatchLoop
package import DispatchPostgres
import HTTP1
import HTTPTypes

/// Serves `/status` and `/events`: records events in a ``StatusHistory`` and sends them to all viewers.
///
/// Each tick is encoded once for all viewers, and viewers that connect within a tick share a snapshot. The hub sends a
/// tick after a change, at most four times a second, and once a second as a heartbeat, by which a page detects a lost
/// connection. Without viewers, no timer runs. The server drops viewers that do not read, and ends the streams when it
/// drains (`BodyStream`).
@LoopActor
package final class StatusHub {
    static let minimumInterval = Duration.milliseconds(250)
    static let heartbeatInterval = Duration.seconds(1)

    private let pool: PostgresPool
    private let viewerLimit: Int
    private let loop = EventLoop.shared
    private let page = StatusPage.standard
    private let boot: String
    private(set) var history: StatusHistory
    private var viewers: [ObjectIdentifier: BodyStream] = [:]
    private var timer: TimerID?

    /// The latest tick.
    private var lastSent: Tick
    /// The snapshot and the page for all requests within a tick.
    private var snapshot: (bytes: [UInt8], at: MonotonicTime)?
    private var rendered: (response: Response, at: MonotonicTime)?
    /// The number of encoded events. For tests: it must not depend on the number of viewers.
    private(set) var encodings = 0

    private struct Tick {
        /// `nil` if the viewers have only their snapshots.
        var report: StatusReport?
        var time: MonotonicTime
        var second: Int
        /// `nil` if the viewers have only their snapshots.
        var past: Past?
    }

    /// A key that changes whenever the past outages change.
    private struct Past: Equatable {
        var latest: StatusHistory.PastOutage?
        var maskedInterruptions: Int
    }

    /// - Parameter viewerLimit: the maximum number of viewers.
    package init(pool: PostgresPool, viewerLimit: Int) {
        self.pool = pool
        self.viewerLimit = viewerLimit
        let now = EventLoop.shared.now
        history = StatusHistory(start: now)
        lastSent = Tick(time: now, second: 0)
        boot = String(UInt64.random(in: 0 ... .max), radix: 36)
    }

    package var viewerCount: Int { viewers.count }

    /// For tests: only viewers need a timer.
    var hasTimer: Bool { timer != nil }

    package func add(to router: inout Router) {
        router.get("/status") { [self] _ in .now(currentPage()) }
        router.get("/status.css", always: StatusPage.style)
        router.get("/status.js", always: StatusPage.script)
        router.get("/events") { [self] _ in events() }
    }

    // MARK: The page

    private func currentPage() -> Response {
        let now = loop.now
        if let rendered, now - rendered.at < Self.minimumInterval { return rendered.response }
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
        // Keeps proxies such as nginx from buffering the events.
        if let name = HTTPField.Name("X-Accel-Buffering") { fields[name] = "no" }
        return Response(status: .ok, fields: fields).prepared()
    }()

    private func events() -> RouteResult {
        guard viewers.count < viewerLimit else {
            return .now(
                ErrorBody.response(
                    .serviceUnavailable, "Too many viewers; try again later.", fields: [.retryAfter: "5"]))
        }
        return .stream(Self.streamHead) { [weak self] stream in self?.addViewer(stream) }
    }

    private func addViewer(_ stream: BodyStream) {
        let now = loop.now
        history.advance(to: now)
        viewers[ObjectIdentifier(stream)] = stream
        stream.onClose = { [weak self, id = ObjectIdentifier(stream)] _ in self?.removeViewer(id) }
        if timer == nil {
            // A tick holds the changes since the last one, and this viewer's snapshot is newer than that.
            lastSent = Tick(time: now, second: history.currentSecond)
            schedule(at: now + Self.minimumInterval)
        }
        stream.send(currentSnapshot(at: now))
    }

    private func removeViewer(_ id: ObjectIdentifier) {
        viewers[id] = nil
        guard viewers.isEmpty, let timer else { return }
        loop.cancel(timer)
        self.timer = nil
        snapshot = nil
    }

    private func currentSnapshot(at now: MonotonicTime) -> [UInt8] {
        if let snapshot, now - snapshot.at < Self.minimumInterval, snapshot.at >= lastSent.time {
            return snapshot.bytes
        }
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
        if report != lastSent.report || now >= lastSent.time + Self.heartbeatInterval { send(report, clock, at: now) }
        schedule(at: now + Self.minimumInterval)
    }

    private func send(_ report: StatusReport, _ clock: StatusClock, at now: MonotonicTime) {
        let past = Past(latest: history.outages.first, maskedInterruptions: history.masked.count)
        let event = StatusFeed.tick(report, clock, history, from: lastSent.second, withPast: past != lastSent.past)
        encodings += 1
        lastSent = Tick(report: report, time: now, second: history.currentSecond, past: past)
        broadcast(event.bytes)
    }

    /// Sends the same bytes to all viewers.
    func broadcast(_ bytes: [UInt8]) {
        for stream in viewers.values { stream.send(bytes) }
    }
}

extension StatusHub: PoolObserver {
    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard case .healthChanged(_, let health, let outage, let time) = event else { return }
        history.healthChanged(to: health, outage: outage, at: time)
        rendered = nil
        // Sends a change at once, but not more often than the minimum interval.
        guard let timer, loop.now >= lastSent.time + Self.minimumInterval else { return }
        loop.cancel(timer)
        schedule(at: loop.now)
    }
}

/// Each answer of `/ping` is a point in the timeline.
extension StatusHub: ServerObserver {
    package func answered(_ exchange: Exchange) {
        let method = exchange.request.method
        guard method == .get || method == .head, exchange.request.hasPath("/ping") else { return }
        history.pinged(afterNanoseconds: exchange.nanoseconds, failed: exchange.status != 200, at: loop.now)
    }
}
