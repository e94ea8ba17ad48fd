import DispatchHTTP
import DispatchLoop
import HTTP1
import HTTPTypes
import Testing

/// A server on its own port, with a recorder of its events and a handler that tests can hold.
@LoopActor
final class TestServer {
    let server: HTTPServer
    let events: Recorder
    let gate: Gate
    let broadcast: Broadcast
    let port: UInt16

    init(_ change: (inout ServerConfiguration) -> Void = { _ in }) throws {
        var configuration = ServerConfiguration(host: "127.0.0.1", port: 0)
        // A short grace, so that stopping this server does not delay other tests.
        configuration.timeouts.drainGrace = .milliseconds(20)
        change(&configuration)
        let gate = Gate()
        events = Recorder()
        self.gate = gate
        let broadcast = Broadcast()
        self.broadcast = broadcast
        server = HTTPServer(
            configuration: configuration, responder: Self.routes(gate, broadcast), observers: [events])
        port = try server.start()[0].port
    }

    static func routes(_ gate: Gate, _ broadcast: Broadcast) -> Router {
        var router = Router()
        router.get("/stream") { _ in
            .stream(Response(status: .ok, fields: [.contentType: "text/plain"]), broadcast.add)
        }
        router.get("/counted") { _ in
            .stream(Response(status: .ok, body: Array("0".utf8))) { stream in
                for number in 1..<4 { stream.send(Array("\(number)".utf8)) }
                stream.end()
            }
        }
        router.get("/empty") { _ in
            .stream(Response(status: .noContent)) { _ in Issue.record("no body may follow") }
        }
        router.get("/", always: Response(status: .ok, text: "hello", contentType: "text/plain"))
        router.get("/health", always: Response(status: .ok, text: "well", contentType: "text/plain"))
        router.setEssential("/health")
        router.get("/query") { request in
            .now(Response(status: .ok, text: request.query ?? "none", contentType: "text/plain"))
        }
        router.get("/held") { request in
            let name = request.query ?? ""
            return .later { await gate.wait(name) }
        }
        router.get("/later") { request in
            let name = request.query ?? ""
            return .later {
                await Task.yield()
                return Response(status: .ok, text: name, contentType: "text/plain")
            }
        }
        router.get("/large") { _ in
            .now(Response(status: .ok, text: String(repeating: "x", count: 1 << 20), contentType: "text/plain"))
        }
        router.get("/huge") { _ in
            .now(Response(status: .ok, text: String(repeating: "x", count: 1 << 23), contentType: "text/plain"))
        }
        router.get("/last") { _ in
            var response = Response(status: .ok, text: "bye", contentType: "text/plain")
            response.closesConnection = true
            return .now(response)
        }
        router.on(.post, "/body") { _ in .now(Response(status: .created)) }
        return router
    }

    func identify(_ identifier: @escaping @LoopActor (RequestHead) -> String) { server.requestIdentifier = identifier }

    func stop() async {
        gate.open()
        _ = await server.drain(deadline: EventLoop.shared.now + .seconds(5))
    }
}

/// Runs `body` with a server and stops it afterwards.
func withServer(
    _ change: @escaping @Sendable (inout ServerConfiguration) -> Void = { _ in },
    _ body: (TestServer) async throws -> Void
) async throws {
    let server = try await TestServer(change)
    do {
        try await body(server)
    } catch {
        await server.stop()
        throw error
    }
    await server.stop()
}

/// Holds requests until it is opened; counts arrivals and cancellations.
@LoopActor
final class Gate {
    private var isOpen = false
    private var held: [CheckedContinuation<Void, Never>] = []
    private var arrivalWaiters: [(Int, CheckedContinuation<Void, Never>)] = []
    private(set) var arrived = 0
    private(set) var cancelled = 0

    func wait(_ name: String) async -> Response {
        arrived += 1
        arrivalWaiters.removeAll { entry in
            guard arrived >= entry.0 else { return false }
            entry.1.resume()
            return true
        }
        if !isOpen {
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    if Task.isCancelled { continuation.resume() } else { held.append(continuation) }
                }
            } onCancel: {
                EventLoop.shared.submit { self.open() }
            }
        }
        if Task.isCancelled { cancelled += 1 }
        return Response(status: .ok, text: "held \(name)", contentType: "text/plain")
    }

    func open() {
        isOpen = true
        for continuation in held { continuation.resume() }
        held = []
    }

    func arrivals(_ count: Int) async {
        if arrived >= count { return }
        await withCheckedContinuation { arrivalWaiters.append((count, $0)) }
    }
}

/// The running streams, and the close reasons of the ended ones.
@LoopActor
final class Broadcast {
    private(set) var streams: [BodyStream] = []
    private(set) var ends: [ConnectionCloseReason] = []

    func add(_ stream: BodyStream) {
        streams.append(stream)
        stream.onClose = { [self] reason in
            ends.append(reason)
            streams.removeAll { $0 === stream }
        }
    }

    /// Sends `bytes` to all streams; returns how many are still open.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Int { streams.filter { $0.send(bytes) }.count }

    /// The largest backlog of a stream, in bytes.
    var waitingBytes: Int { streams.reduce(0) { max($0, $1.waitingBytes) } }

    func send(_ text: String) { send(Array(text.utf8)) }

    func end() {
        for stream in streams { stream.end() }
    }
}

/// Records a server's events, and lets tests wait for them.
@LoopActor
final class Recorder: ServerObserver {
    private(set) var opened = 0
    private(set) var closes: [ConnectionCloseReason] = []
    private(set) var statuses: [Int] = []
    private(set) var refusals: [HTTP1Error?] = []
    private(set) var lastRefusal: RejectedRequest?
    private(set) var exchanges: [Exchange] = []
    private(set) var streams = 0
    private(set) var abandonments = 0
    private(set) var pauses = 0
    private(set) var resumes = 0
    private var waiters: [(condition: @LoopActor (Recorder) -> Bool, continuation: CheckedContinuation<Void, Never>)] =
        []

    nonisolated init() {}

    func connectionOpened() {
        opened += 1
        check()
    }
    func connectionClosed(_ reason: ConnectionCloseReason) {
        closes.append(reason)
        check()
    }
    func answered(_ exchange: Exchange) {
        exchanges.append(exchange)
        statuses.append(exchange.status)
        check()
    }
    func streamBegan(_ exchange: Exchange) {
        streams += 1
        check()
    }
    func refused(_ refusal: RejectedRequest) {
        refusals.append(refusal.error)
        statuses.append(refusal.status)
        lastRefusal = refusal
        check()
    }
    func abandoned(_ exchange: Exchange) {
        abandonments += 1
        check()
    }
    func acceptPaused(errno: Int32) {
        pauses += 1
        check()
    }
    func acceptResumed() {
        resumes += 1
        check()
    }

    func until(_ condition: @escaping @LoopActor (Recorder) -> Bool) async {
        if condition(self) { return }
        await withCheckedContinuation { waiters.append((condition, $0)) }
    }

    /// Waits until there are `count` close reasons, and returns them.
    func closes(_ count: Int) async -> [ConnectionCloseReason] {
        await until { $0.closes.count >= count }
        return closes
    }

    private func check() {
        let ready = waiters.filter { $0.condition(self) }
        guard !ready.isEmpty else { return }
        waiters.removeAll { $0.condition(self) }
        for waiter in ready { waiter.continuation.resume() }
    }
}
