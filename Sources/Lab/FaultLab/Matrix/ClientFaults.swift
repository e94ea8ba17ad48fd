import DispatchLoop
import Dispatch
import Glibc
import PostgresTestKit

/// Statements that nobody waits for any more: none may live on at the server.
extension Fault {
    static let clients = [
        // The service runs nothing but `select 1`, which waits for no lock; a small one of the lab's reads a table through
        // the same pool.
        Fault(
            "locked-table", title: "a table is locked for 8 s, and 20 readers want it within a second each",
            ending: nil,
            expecting: .tolerated(back: .seconds(1)),
            setup: FaultSetup(settings: ["autovacuum": "off"], pingClients: 2, labService: ["reader"]),
            begin: { stage in
                let sandbox = try stage.sandbox()
                let database = sandbox.configuration.database
                try await sandbox.execute(
                    "create table accounts (balance int); insert into accounts values (1)", database: database)
                let watch = SessionWatch(sandbox)
                let lock = Task {
                    try await sandbox.execute(
                        "begin; lock table accounts in access exclusive mode; select pg_sleep(8); commit",
                        database: database)
                }
                try await stage.await("the lock") {
                    try await sandbox.execute("select count(*) from pg_locks where mode = 'AccessExclusiveLock'") != "0"
                }
                let address = try stage.address()
                func waiting() async throws -> Int {
                    Int(
                        try await sandbox.execute(
                            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))
                        ?? -1
                }
                let readers = (0..<20).map { _ in
                    ProbeLoop(address, path: "/accounts", every: .milliseconds(20), into: stage.timeline)
                }
                try await stage.pause(.seconds(4))
                await ProbeLoop.stop(readers)
                let begin = ContinuousClock.now
                let isFree = try await Deadline(in: .seconds(1)).wait(every: .milliseconds(20)) {
                    try await waiting() == 0
                }
                let left = isFree ? 0 : try await waiting()
                stage.verdict(
                    Check(
                        isKept: isFree,
                        text: isFree
                            ? "no statement waited on \((ContinuousClock.now - begin).shown) after the last reader left"
                            : "\(left) statements waited on a second after the last reader left (none may)"))
                stage.verdict(.sessions(await watch.stop(), maximum: 10, extra: 1))
                let failing = (stage.timeline.exchanges(on: "/accounts") + stage.timeline.exchanges(on: "/ping"))
                    .filter { !$0.isGood }
                let expected: Set<String> = ["POOL_SATURATED", "QUERY_TIMEOUT", "57014"]
                let others = failing.filter { !expected.contains($0.errorCode ?? "") }
                stage.verdict(
                    Check(
                        isKept: others.isEmpty && !failing.isEmpty,
                        text:
                            "\(failing.count) readers and /ping failed, \(others.count) of them for an outage (none may)"
                            + (others.first.map { ": \($0.summary)" } ?? "")))
                _ = try await lock.value
                let read = await HTTPProbe.get("/accounts", port: address.port, limit: .seconds(2))
                stage.verdict(
                    Check(isKept: read.isGood, text: "the first reader once it was unlocked: \(read.summary)"))
            }),
        Fault(
            "clients-hang-up", title: "answers take 400 ms, and clients of /ping hang up after 50 ms", ending: nil,
            expecting: .unseen, setup: FaultSetup(settings: ["autovacuum": "off"], fillsPool: true),
            begin: { stage in
                let relay = try stage.relay()
                let lines = try stage.logLines().count
                let watch = SessionWatch(try stage.sandbox())
                relay.behave(RelayBehaviour(toClient: .delayed(.milliseconds(400))))
                let before = relay.statistics
                let crowd = HastyCrowd(of: 2, at: try stage.address())
                try await stage.pause(stage.amount(.seconds(6), quick: .seconds(3)))
                let count = await crowd.stop()
                // What they asked for last comes to its end.
                try await stage.pause(.seconds(1))
                let after = relay.statistics
                relay.behave(.forwarding)
                try await stage.pause(.seconds(1))
                stage.verdict(.sessions(await watch.stop(), maximum: 10, extra: 1))
                let closed = after.closedByClient - before.closedByClient
                stage.verdict(
                    Check(
                        isKept: count > 0 && closed * 10 <= count,
                        text: "\(count) clients hung up, and \(closed) connections were closed (one for ten at most)"))
                stage.note(
                    "\(after.accepted - before.accepted) new connections meanwhile, those for cancels among them")
                stage.verdict(.silence(Array(try stage.logLines().dropFirst(lines))))
            }),
    ]
}

/// Clients that ask `/ping` and hang up before the answer, each again and again.
private final class HastyCrowd: Sendable {
    private let state = Locked((count: 0, isStopped: false))
    private let done = DispatchGroup()

    init(of size: Int, at address: ServiceAddress) {
        for number in 0..<size {
            DispatchQueue(label: "hasty client \(number)").async(group: done) { [state] in
                let request = Array("GET /ping HTTP/1.1\r\nHost: daruma\r\n\r\n".utf8)
                while !state.withLock({ $0.isStopped }) {
                    let deadline = Deadline(in: .seconds(1))
                    if let socket = try? DeadlineSocket(host: address.host, port: address.port, deadline: deadline),
                        (try? socket.send(request, deadline: deadline)) != nil
                    {
                        usleep(50_000)
                        state.withLock { $0.count += 1 }
                    }
                    usleep(150_000)
                }
            }
        }
    }

    /// Returns how many hung up, when all have.
    func stop() async -> Int {
        state.withLock { $0.isStopped = true }
        let done = self.done
        await offCooperativeThreads { done.wait() }
        return state.withLock { $0.count }
    }
}
