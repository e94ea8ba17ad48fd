import ArgumentParser
import Benchmarks
import DispatchLoop
import DispatchPostgres
import Glibc
import HTTP1
import HTTPTypes
import PostgresSession

/// Runs one of the loops that the gate counts, each in its own process.
struct WorkloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "work", abstract: "Repeats one operation, for the gate and for profilers.")

    @Argument(help: "A case of the gate that does not run the service. Those with a database need DATABASE_URL.")
    var what: CostGateCase

    @Argument(help: "The number of repetitions.")
    var turns: Int

    func validate() throws {
        if what.isService { throw ValidationError("\(what.rawValue) needs the service: run daruma") }
    }

    func run() async throws {
        switch what {
        case .parse: try parse("GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")
        case .parseBrowser: try parse(Self.browserRequest)
        case .serialize: serialize()
        case .checkOut: try await onPool { try await Self.checkOut($0, turns) }
        case .query: try await onPool { try await Self.query($0, turns) }
        case .pipeline: try await onPool { try await Self.pipeline($0, turns, callers: 16) }
        case .waiters10: try await onPool { try await Self.wait($0, turns, atATime: 10) }
        case .waiters10000: try await onPool { try await Self.wait($0, turns, atATime: 10_000) }
        case .root, .pipelined, .ping: break
        }
    }

    private static let browserRequest = """
        GET /ping?from=browser HTTP/1.1\r
        Host: localhost:8080\r
        Connection: keep-alive\r
        Cache-Control: max-age=0\r
        sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"\r
        sec-ch-ua-mobile: ?0\r
        Upgrade-Insecure-Requests: 1\r
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r
        Sec-Fetch-Site: none\r
        Sec-Fetch-Mode: navigate\r
        Accept-Encoding: gzip, deflate, br, zstd\r
        Accept-Language: en-GB,en;q=0.9\r
        \r

        """

    private func parse(_ text: String) throws {
        let request = Array(text.utf8)
        var parser = RequestParser()
        for _ in 0..<turns {
            parser.append(request)
            guard case .request(let head) = try parser.next(), head.method == .get else { throw ExitCode.failure }
        }
    }

    private func serialize() {
        let response = Response(
            status: .ok, text: "{\n  \"status\": true\n}", contentType: "application/json; charset=utf-8"
        ).prepared()
        let dateLine = Array("Date: Fri, 15 Jan 2027 08:00:00 GMT\r\n".utf8)
        var buffer: [UInt8] = []
        var total = 0
        for _ in 0..<turns {
            ResponseSerializer.append(
                response, isHead: false, connection: .persists, dateLine: dateLine, to: &buffer)
            total += buffer.count
            buffer.removeAll(keepingCapacity: true)
        }
        precondition(total > 0)
    }

    @LoopActor
    private func onPool(_ body: @escaping @Sendable @LoopActor (PostgresPool) async throws -> Void) async throws {
        guard let url = getenv("DATABASE_URL") else { throw ValidationError("DATABASE_URL is missing") }
        var settings = PoolSettings()
        settings.maximum = 1
        settings.silenceTimeout = .seconds(60)
        // Under callgrind a login is slow.
        settings.outageGrace = .seconds(60)
        settings.keepalive = nil
        settings.maximumWaiters = 100_000
        let pool = PostgresPool(ConnectionConfiguration(String(cString: url)), settings: settings)
        pool.start()
        // On a task that prefers the loop, as in the service.
        let failed = await withCheckedContinuation { continuation in
            _ = EventLoop.shared.task {
                do {
                    try await body(pool)
                    continuation.resume(returning: false)
                } catch {
                    Terminal.printError("\(error)")
                    continuation.resume(returning: true)
                }
            }
        }
        await pool.close(deadline: .now() + .seconds(5))
        if failed { throw ExitCode.failure }
    }

    @LoopActor
    private static func checkOut(_ pool: PostgresPool, _ turns: Int) async throws {
        let deadline = MonotonicTime.now() + .seconds(100)
        for _ in 0..<turns {
            let connection = try await pool.checkOut(deadline: deadline)
            pool.release(connection)
        }
    }

    @LoopActor
    private static func query(_ pool: PostgresPool, _ turns: Int) async throws {
        let deadline = MonotonicTime.now() + .seconds(100)
        for _ in 0..<turns {
            let connection = try await pool.checkOut(deadline: deadline)
            defer { pool.release(connection) }
            _ = try await connection.query("select 1", isIdempotent: true, deadline: deadline)
        }
    }
}

extension WorkloadCommand {
    /// Each caller sends its next query after the answer to the last one.
    @LoopActor
    private static func pipeline(_ pool: PostgresPool, _ turns: Int, callers: Int) async throws {
        let pipeline = PostgresPipeline(pool, maximumSessions: 1)
        let deadline = MonotonicTime.now() + .seconds(100)
        var left = callers
        var failures = 0
        await withCheckedContinuation { continuation in
            for _ in 0..<callers {
                _ = EventLoop.shared.task {
                    do {
                        for _ in 0..<turns / callers {
                            _ = try await pipeline.query(
                                "select 1", isIdempotent: true, isPrepared: true, deadline: deadline)
                        }
                    } catch {
                        if failures == 0 { Terminal.printError("\(error)") }
                        failures += 1
                    }
                    left -= 1
                    if left == 0 { continuation.resume() }
                }
            }
        }
        if failures > 0 { throw ExitCode.failure }
    }

    /// Keeps `count` waiters in the queue until `turns` have had the connection.
    @LoopActor
    private static func wait(_ pool: PostgresPool, _ turns: Int, atATime count: Int) async throws {
        let deadline = MonotonicTime.now() + .seconds(100)
        let first = try await pool.checkOut(deadline: deadline)
        let queue = WaiterChain(pool: pool, turns: turns, deadline: deadline)
        await withCheckedContinuation { continuation in
            queue.whenEmpty = continuation
            for _ in 0..<min(count, turns) { queue.join() }
            _ = EventLoop.shared.task { pool.release(first) }
        }
        if queue.failures > 0 { throw ExitCode.failure }
    }
}

/// Waiters that each add another one before they release the connection, so that the queue keeps its length.
@LoopActor
private final class WaiterChain {
    var whenEmpty: CheckedContinuation<Void, Never>?
    private(set) var failures = 0
    private let pool: PostgresPool
    private let turns: Int
    private let deadline: MonotonicTime
    private var begun = 0
    private var ended = 0

    init(pool: PostgresPool, turns: Int, deadline: MonotonicTime) {
        self.pool = pool
        self.turns = turns
        self.deadline = deadline
    }

    func join() {
        begun += 1
        _ = EventLoop.shared.task { await self.wait() }
    }

    private func wait() async {
        do {
            let connection = try await pool.checkOut(deadline: deadline)
            if begun < turns { join() }
            pool.release(connection)
        } catch {
            failures += 1
        }
        ended += 1
        if ended == begun { whenEmpty?.resume() }
    }
}

extension CostGateCase: ExpressibleByArgument {}
