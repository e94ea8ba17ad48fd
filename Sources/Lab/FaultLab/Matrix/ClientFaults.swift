import DispatchLoop
import PostgresTestKit

/// Faults with statements whose client has given up. None may remain on the server.
extension Fault {
    static let clients = [
        // The service runs only `select 1`, which waits for no lock. A small service of the lab reads a table through the
        // same pool.
        Fault(
            "locked-table", title: "a table is locked for 8 s, and 20 readers have a second each",
            ending: nil,
            expecting: .tolerated(back: .seconds(1)),
            setup: FaultSetup(settings: ["autovacuum": "off"], pingClients: 2, labService: ["reader"]),
            begin: { context in
                let sandbox = try context.sandbox()
                let database = sandbox.configuration.database
                try await sandbox.execute(
                    "create table accounts (balance int); insert into accounts values (1)", database: database)
                let watch = SessionWatch(sandbox)
                let lock = Task {
                    try await sandbox.execute(
                        "begin; lock table accounts in access exclusive mode; select pg_sleep(8); commit",
                        database: database)
                }
                try await context.await("the lock") {
                    try await sandbox.execute("select count(*) from pg_locks where mode = 'AccessExclusiveLock'") != "0"
                }
                let address = try context.address()
                func waiting() async throws -> Int {
                    Int(
                        try await sandbox.execute(
                            "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"))
                        ?? -1
                }
                let readers = (0..<20).map { _ in
                    ProbeLoop(address, path: "/accounts", every: .milliseconds(20), into: context.timeline)
                }
                try await context.pause(.seconds(4))
                await ProbeLoop.stop(readers)
                let begin = ContinuousClock.now
                let isFree = try await Deadline(in: .seconds(1)).wait(every: .milliseconds(20)) {
                    try await waiting() == 0
                }
                let left = isFree ? 0 : try await waiting()
                context.check(
                    Check(
                        isKept: isFree,
                        text: isFree
                            ? "no statement waited \((ContinuousClock.now - begin).shown) after the last reader left"
                            : "\(left) statements still waited a second after the last reader left (none may)"))
                context.check(.sessions(await watch.stop(), maximum: 10, extra: 1))
                let failing = (context.timeline.exchanges(on: "/accounts") + context.timeline.exchanges(on: "/ping"))
                    .filter { !$0.isGood }
                let expected: Set<String> = ["POOL_SATURATED", "QUERY_TIMEOUT", "57014"]
                let others = failing.filter { !expected.contains($0.errorCode ?? "") }
                context.check(
                    Check(
                        isKept: others.isEmpty && !failing.isEmpty,
                        text:
                            "\(failing.count) requests failed, \(others.count) of them for an outage (none may)"
                            + (others.first.map { ": \($0.summary)" } ?? "")))
                _ = try await lock.value
                let read = await HTTPProbe.get("/accounts", port: address.port, limit: .seconds(2))
                context.check(
                    Check(isKept: read.isGood, text: "the first reader after the lock: \(read.summary)"))
            }),
        Fault(
            "clients-hang-up", title: "answers take 400 ms, and clients of /ping hang up after 50 ms", ending: nil,
            expecting: .unseen, setup: FaultSetup(settings: ["autovacuum": "off"], fillsPool: true),
            begin: { context in
                let relay = try context.relay()
                let lines = try context.logLines().count
                let watch = SessionWatch(try context.sandbox())
                relay.behave(RelayBehaviour(toClient: .delayed(.milliseconds(400))))
                let before = relay.statistics
                let crowd = ImpatientClients(of: 2, at: try context.address())
                try await context.pause(context.amount(.seconds(6), quick: .seconds(3)))
                let count = await crowd.stop()
                // Lets the last statements end.
                try await context.pause(.seconds(1))
                let after = relay.statistics
                relay.behave(.forwarding)
                try await context.pause(.seconds(1))
                context.check(.sessions(await watch.stop(), maximum: 10, extra: 1))
                let closed = after.closedByClient - before.closedByClient
                context.check(
                    Check(
                        isKept: count > 0 && closed * 10 <= count,
                        text: "\(count) clients hung up, and \(closed) connections were closed (at most one for ten)"))
                context.note("\(after.accepted - before.accepted) new connections meanwhile, including cancel requests")
                context.check(.silence(Array(try context.logLines().dropFirst(lines))))
            }),
    ]
}

/// Clients that request `/ping` and hang up before the answer, repeatedly.
private final class ImpatientClients: Sendable {
    private let count = Locked(0)
    private let loops: [BackgroundLoop]

    init(of size: Int, at address: ServiceAddress) {
        let request = Array("GET /ping HTTP/1.1\r\nHost: daruma\r\n\r\n".utf8)
        loops = (0..<size).map { [count] number in
            BackgroundLoop("impatient client \(number)", pause: .milliseconds(150)) {
                let deadline = Deadline(in: .seconds(1))
                guard let socket = try? DeadlineSocket(host: address.host, port: address.port, deadline: deadline),
                    (try? socket.send(request, deadline: deadline)) != nil
                else { return }
                sleepThread(for: .milliseconds(50))
                count.withLock { $0 += 1 }
            }
        }
    }

    /// Stops, and returns how often a client hung up.
    func stop() async -> Int {
        for loop in loops { await loop.stop() }
        return count.withLock { $0 }
    }
}
