import DispatchLoop
import PostgresSandbox
import Testing

@testable import PostgresConnection

/// One server for all tests that do not harm it; removed with this process.
enum SharedSandbox {
    private static let task = Task {
        let sandbox = try await PostgresSandbox.make()
        try await sandbox.start()
        return sandbox
    }

    static func get() async throws -> PostgresSandbox { try await task.value }
}

@LoopActor
private func connect(_ url: String) async throws -> PostgresConnection {
    try await PostgresConnection.connect(ConnectionConfiguration(url), deadline: .now() + .seconds(10))
}

@LoopActor
private func connect() async throws -> PostgresConnection {
    try await connect(try await SharedSandbox.get().connectionURL())
}

private var soon: MonotonicTime { .now() + .seconds(10) }

/// Counts how often it is told of silence.
private final class CountingClient: StatementClient {
    var silences = 0
    var continuation: CheckedContinuation<Result<QueryResult, PostgresError>, Never>?

    func connection(_ connection: PostgresConnection, ended result: Result<QueryResult, PostgresError>) {
        continuation?.resume(returning: result)
    }

    func connectionIsSilent(_ connection: PostgresConnection) {
        silences += 1
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct PostgresConnectionTests {
    @Test("what a server says is cut at 1 KiB, with a mark")
    func longMessage() async throws {
        let connection = try await connect()
        let statement = """
            do $$ begin raise exception using message = repeat('x', 20000), detail = repeat('ä', 20000),
            hint = repeat('€', 20000); end $$
            """
        let error = await #expect(throws: PostgresError.self) { try await connection.query(statement, deadline: soon) }
        for text in [error?.message, error?.detail, error?.hint] {
            let text = text ?? ""
            #expect(text.utf8.count > 1_000 && text.utf8.count <= 1_024)
            #expect(text.hasSuffix("…"))
        }
    }

    @Test("select 1 gives its row, its column and its command tag")
    func selectOne() async throws {
        let connection = try await connect()
        let result = try await connection.query("select 1", deadline: soon)
        #expect(result.command == "SELECT")
        #expect(result.rowCount == 1)
        #expect(result.values == ["1"])
        #expect(
            result.columns == [
                QueryResult.Column(name: "?column?", typeID: 23, typeSize: 4)
            ])
        #expect(connection.backendProcessID > 0)
        #expect(connection.isIdle)
    }

    @Test("parameters are values, not text in the statement; NULL and the empty string differ")
    func parameters() async throws {
        let connection = try await connect()
        let result = try await connection.query(
            "select $1::text, $2::text, $3::text", parameters: ["'; drop table x; --", nil, ""], deadline: soon)
        #expect(result.values == ["'; drop table x; --", nil, ""])
    }

    @Test("rows come in order, and text outside ASCII as it is")
    func rows() async throws {
        let connection = try await connect()
        let result = try await connection.query("select i, 'Zürich ' || i from generate_series(1, 3) i", deadline: soon)
        #expect(result.rows.map { Array($0) } == [["1", "Zürich 1"], ["2", "Zürich 2"], ["3", "Zürich 3"]])
    }

    @Test("of several statements the last one's result is returned, and an error of an earlier one wins")
    func several() async throws {
        let connection = try await connect()
        #expect(try await connection.query("select 1; select 2", deadline: soon).values == ["2"])
        await #expect(throws: PostgresError.self) {
            try await connection.query("select 1/0; select 2", deadline: soon)
        }
        #expect(try await connection.query("", deadline: soon).columns.isEmpty)
        #expect(connection.isIdle)
    }

    @Test("an error of the statement leaves the connection as good as before")
    func statementError() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("select 1/0", deadline: soon)
        }
        #expect(error?.code == "22012")
        #expect(error?.severity == .error)
        #expect(error?.disposition == .statement)
        #expect(try await connection.query("select 7", deadline: soon).values == ["7"])
    }

    @Test("a result larger than any buffer arrives whole")
    func large() async throws {
        let connection = try await connect()
        let result = try await connection.query("select repeat('x', 5000000)", deadline: soon)
        #expect(result.values.first??.utf8.count == 5_000_000)
    }

    @Test("a statement larger than the socket's buffer is sent whole")
    func largeStatement() async throws {
        let connection = try await connect()
        let text = String(repeating: "y", count: 8_000_000)
        let result = try await connection.query("select length($1)", parameters: [text], deadline: soon)
        #expect(result.values == ["8000000"])
    }

    @Test("a second statement while one is running is refused and does no harm")
    func busy() async throws {
        let connection = try await connect()
        async let slow = connection.query("select pg_sleep(0.05)", deadline: soon)
        var refusal: PostgresError?
        while refusal == nil, !connection.isIdle || connection.lastHeard.nanoseconds == 0 {
            do throws(PostgresError) { _ = try await connection.query("select 1", deadline: soon) } catch {
                refusal = error
            }
        }
        _ = try await slow
        if let refusal { #expect(refusal.code == PostgresError.Code.busy) }
        #expect(try await connection.query("select 2", deadline: soon).values == ["2"])
    }

    @Test("an attempt abandoned at any moment keeps silent, and leaves no socket", arguments: 0..<40)
    func abandonedAttempt(step: Int) async throws {
        let configuration = ConnectionConfiguration(try await SharedSandbox.get().connectionURL())
        let loop = EventLoop.shared
        let isSilent = await withCheckedContinuation { continuation in
            var completed = 0
            let attempt = ConnectAttempt(configuration, limits: .within(soon)) { _ in completed += 1 }
            attempt.start()
            // Through all of a connect: with SCRAM's keys on another thread, or on their way back.
            _ = loop.schedule(at: loop.now.advanced(byNanoseconds: Int64(step) * 250_000)) {
                let hadCompleted = completed
                let before = Files.names(in: "/proc/self/fd").count
                attempt.abandon()
                let after = Files.names(in: "/proc/self/fd").count
                // What a completed attempt made is not its own any more.
                let isClosed = hadCompleted == 1 || after <= before
                _ = loop.schedule(at: loop.now.advanced(byNanoseconds: 20_000_000)) {
                    continuation.resume(returning: completed == hadCompleted && isClosed)
                }
            }
        }
        #expect(isSilent)
    }

    @Test("a statement given up in the round in which it was begun was never sent, and says so")
    func givenUpBeforeSent() async throws {
        let connection = try await connect()
        let result = await withCheckedContinuation { continuation in
            connection.start(Statement("select 1"), deadline: soon) { continuation.resume(returning: $0) }
            connection.abandonStatement()
        }
        guard case .failure(let error) = result else {
            Issue.record("the statement succeeded although it was given up")
            return
        }
        #expect(error.isProvablyUnsent, "it may be run again elsewhere, whatever it does")
    }

    @Test("a query past its deadline fails, and its connection is closed")
    func deadline() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("select pg_sleep(60)", deadline: .now() + .milliseconds(20))
        }
        #expect(error?.code == PostgresError.Code.queryTimeout)
        #expect(connection.isClosed)
        let after = await #expect(throws: PostgresError.self) { try await connection.query("select 1", deadline: soon) }
        #expect(after?.code == PostgresError.Code.closed)
    }

    @Test("a cancelled task ends its query at once")
    func cancellation() async throws {
        let connection = try await connect()
        let task = Task { try await connection.query("select pg_sleep(60)", deadline: soon) }
        try await eventually("the query runs") { !connection.isIdle }
        task.cancel()
        let error = await #expect(throws: PostgresError.self) { try await task.value }
        #expect(error?.code == PostgresError.Code.cancelled)
    }

    @Test("silence is reported once, and the answer still counts")
    func silence() async throws {
        let connection = try await connect()
        let client = CountingClient()
        let result = await withCheckedContinuation { continuation in
            client.continuation = continuation
            connection.start(
                Statement("select pg_sleep(2)"), deadline: soon, silence: 10_000_000, client: client)
        }
        #expect(client.silences == 1)
        #expect(throws: Never.self) { try result.get() }
    }

    @Test("an idle session that is terminated is heard of with its SQLSTATE, without asking")
    func terminatedIdle() async throws {
        let connection = try await connect()
        let sandbox = try await SharedSandbox.get()
        let error: PostgresError = try await withCheckedThrowingContinuation { continuation in
            connection.onEnd = { continuation.resume(returning: $0) }
            Task {
                do {
                    _ = try await sandbox.execute("select pg_terminate_backend(\(connection.backendProcessID))")
                } catch { continuation.resume(throwing: error) }
            }
        }
        #expect(error.code == "57P01")
        #expect(error.disposition == .terminated)
        #expect(connection.isClosed)
    }

    @Test("a session terminated in mid-query fails with the SQLSTATE")
    func terminatedBusy() async throws {
        let connection = try await connect()
        let sandbox = try await SharedSandbox.get()
        async let outcome: QueryResult = connection.query("select pg_sleep(60)", deadline: soon)
        let pid = connection.backendProcessID
        try await eventually("the query runs") {
            try await sandbox.execute("select state from pg_stat_activity where pid = \(pid)") == "active"
        }
        _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
        do {
            _ = try await outcome
            Issue.record("expected the query to fail with 57P01")
        } catch {
            #expect((error as? PostgresError)?.code == "57P01")
        }
        #expect(connection.isClosed)
    }

    @Test("the free check finds the end of a session that the loop has not looked at yet, provably before sending")
    func freeCheck() async throws {
        let connection = try await connect()
        #expect(connection.checkForEnd() == nil)
        let sandbox = try await SharedSandbox.get()
        _ = try await sandbox.execute("select pg_terminate_backend(\(connection.backendProcessID))")
        // Either the loop has seen it by now, or the check does.
        var found: PostgresError?
        try await eventually("the end is found") {
            found = connection.checkForEnd()
            return found != nil
        }
        #expect(found?.isProvablyUnsent == true)
        #expect(connection.isClosed)
    }

    @Test("notifications arrive without asking")
    func notifications() async throws {
        let connection = try await connect()
        let sandbox = try await SharedSandbox.get()
        _ = try await connection.query("listen news", deadline: soon)
        let heard: String = try await withCheckedThrowingContinuation { continuation in
            connection.onNotification = { continuation.resume(returning: "\($0.channel): \($0.payload)") }
            Task {
                do { _ = try await sandbox.execute("notify news, 'hello'", database: "mydb") } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        #expect(heard == "news: hello")
    }

    @Test("COPY is refused, not left hanging")
    func copy() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("copy (select 1) to stdout", deadline: soon)
        }
        #expect(error?.code == "0A000")
        #expect(connection.isClosed)
    }

    @Test("an open transaction is known")
    func transaction() async throws {
        let connection = try await connect()
        #expect(!connection.isInTransaction)
        _ = try await connection.query("begin", deadline: soon)
        #expect(connection.isInTransaction)
        _ = try? await connection.query("select 1/0", deadline: soon)
        #expect(connection.isInTransaction)
        _ = try await connection.query("rollback", deadline: soon)
        #expect(!connection.isInTransaction)
    }

    @Test(
        "what the server refuses at log-in has its SQLSTATE",
        arguments: [("wrong", "mydb", "28P01"), (nil, "nonesuch", "3D000")])
    func refusedLogin(password: String?, database: String, code: String) async throws {
        let sandbox = try await SharedSandbox.get()
        let error = await #expect(throws: PostgresError.self) {
            try await connect(sandbox.connectionURL(password: password, database: database))
        }
        #expect(error?.code == code)
        #expect(error?.disposition == .configuration)
        #expect(error.map { !"\($0)".contains("P@ssw0rd") } ?? false)
    }

    @Test("where nothing listens, connecting is refused")
    func refused() async throws {
        let error = await #expect(throws: PostgresError.self) {
            try await connect("postgres://admin@127.0.0.1:1/mydb")
        }
        #expect(error?.code == PostgresError.Code.refused)
        #expect(error?.disposition == .outage)
        #expect(error?.endpoint == "127.0.0.1:1")
    }

    @Test("the second server of a list is taken when the first refuses")
    func secondServer() async throws {
        let sandbox = try await SharedSandbox.get()
        let connection = try await connect(
            "postgres://admin:P%40ssw0rd@127.0.0.1:1,127.0.0.1:\(sandbox.port)/mydb")
        #expect(connection.endpoint == "127.0.0.1:\(sandbox.port)")
    }

    @Test("localhost is looked up and found under one of its addresses")
    func localhost() async throws {
        let sandbox = try await SharedSandbox.get()
        let connection = try await connect(sandbox.connectionURL(host: "localhost"))
        #expect(try await connection.query("select 1", deadline: soon).values == ["1"])
    }

    @Test("a Unix socket works")
    func unixSocket() async throws {
        let sandbox = try await SharedSandbox.get()
        let connection = try await connect(
            "host=\(sandbox.socketFolder) port=\(sandbox.port) user=admin password='P@ssw0rd' dbname=mydb")
        #expect(try await connection.query("select 1", deadline: soon).values == ["1"])
    }

    @Test("a bad connection string fails every connect with what is wrong")
    func badString() async throws {
        let error = await #expect(throws: PostgresError.self) { try await connect("nonsense") }
        #expect(error?.code == PostgresError.Code.conninfo)
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct HostResolverTests {
    @Test("callers that ask for the same name while it is being looked up share one look-up")
    func coalesced() async {
        let calls = Locked(0)
        let gate = Gate()
        let resolver = HostResolver { _ in
            calls.withLock { $0 += 1 }
            gate.wait()
            return .success(["127.0.0.1"])
        }
        let answers: Int = await withCheckedContinuation { continuation in
            var answered = 0
            for _ in 0..<50 {
                _ = resolver.resolve("db") { _ in
                    answered += 1
                    if answered == 50 { continuation.resume(returning: answered) }
                }
            }
            gate.open()
        }
        #expect(answers == 50)
        #expect(calls.withLock { $0 } == 1)
    }

    @Test("stalled look-ups hold a bounded number of threads; a further name fails at once")
    func bounded() async {
        let gate = Gate()
        let resolver = HostResolver { _ in
            gate.wait()
            return .success([])
        }
        for index in 0..<HostResolver.limit { _ = resolver.resolve("host\(index)") { _ in } }
        let refusal: HostResolver.Answer = await withCheckedContinuation { continuation in
            _ = resolver.resolve("one more") { continuation.resume(returning: $0) }
        }
        if case .failure(let error) = refusal {
            #expect(error.code == PostgresError.Code.nameLookup)
        } else {
            Issue.record("expected a refusal")
        }
        gate.open()
    }

    @Test("a look-up that stalls does not keep a later one from the answer that is there by then")
    func freshLookUp() async throws {
        let gate = Gate()
        let calls = Locked(0)
        let resolver = HostResolver { _ in
            let call = calls.withLock {
                $0 += 1
                return $0
            }
            if call == 1 { gate.wait() }
            return .success(["127.0.0.1"])
        }
        let first = resolver.resolve("db") { _ in Issue.record("the first caller has gone") }
        resolver.abandon(first)
        let answer: HostResolver.Answer = try await withCheckedThrowingContinuation { continuation in
            _ = EventLoop.shared.schedule(at: .now() + HostResolver.standardPatience + .milliseconds(10)) {
                _ = resolver.resolve("db") { continuation.resume(returning: $0) }
            }
        }
        gate.open()
        #expect(throws: Never.self) { try answer.get() }
    }

    @Test("a name that stalls holds two threads, however often it is asked for, and none when it is over")
    func boundedPerName() async throws {
        let gate = Gate()
        let calls = Locked(0)
        let resolver = HostResolver(patience: .zero) { _ in
            calls.withLock { $0 += 1 }
            gate.wait()
            return .success(["127.0.0.1"])
        }
        var answers = 0
        for _ in 0..<50 { _ = resolver.resolve("db") { _ in answers += 1 } }
        try await eventually("both have begun") { calls.withLock { $0 } == 2 }
        gate.open()
        try await eventually("all have their answer") { answers == 50 }
        #expect(calls.withLock { $0 } == HostResolver.limitPerName)
        _ = resolver.resolve("db") { _ in answers += 1 }
        try await eventually("the next one is looked up afresh") { answers == 51 }
    }

    @Test("a connect whose name look-up stalls fails at its deadline, and nothing else is held up")
    func stalled() async {
        let gate = Gate()
        let resolver = HostResolver { _ in
            gate.wait()
            return .success(["127.0.0.1"])
        }
        let result: Result<PostgresConnection, PostgresError> = await withCheckedContinuation { continuation in
            ConnectAttempt(
                ConnectionConfiguration("postgres://u@db.example/x"), limits: .within(.now() + .milliseconds(20)),
                resolver: resolver, completion: { continuation.resume(returning: $0) }
            ).start()
        }
        gate.open()
        guard case .failure(let error) = result else {
            Issue.record("expected the connect to fail")
            return
        }
        #expect(error.code == PostgresError.Code.connectTimeout)
    }

    @Test(
        "numeric addresses are not looked up",
        arguments: [("127.0.0.1", true), ("::1", true), ("fe80::1%lo", true), ("db", false), ("1.2.3", false)])
    func numeric(host: String, isNumeric: Bool) {
        #expect(HostResolver.isNumeric(host) == isNumeric)
    }

    @Test("a name that does not exist is an outage with a code of its own")
    func unknown() {
        guard case .failure(let error) = HostResolver.systemLookUp("no-such-host.invalid") else {
            Issue.record("expected the look-up to fail")
            return
        }
        #expect([PostgresError.Code.nameUnknown, PostgresError.Code.nameLookup].contains(error.code))
        #expect(error.disposition == .outage)
    }
}
