import PostgresClient
import Testing

/// Results that are read while their statement runs, and COPY, through the client.
@Suite("a client's streams", .timeLimit(.minutes(2)))
struct StreamTests {
    @Test("rows are decoded one by one, in the caller's isolation")
    @MainActor func rows() async throws {
        try await withSharedClient { client in
            var (sum, count) = (0, 0)
            try await client.withRows("select n, 'row ' || n from generate_series(1, \(10_000)) n") { rows in
                for try await row in rows {
                    MainActor.assertIsolated()
                    let (number, text) = try row.decode((Int, String).self)
                    #expect(text == "row \(number)")
                    sum += number
                    count += 1
                }
            }
            #expect(count == 10_000 && sum == 50_005_000)
        }
    }

    @Test("a loop that is left early leaves the connection usable, in a transaction too")
    func leftEarly() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                let backend = try await connection.query("select pg_backend_pid()").decodeOne(Int.self)
                let first = try await connection.withRows("select generate_series(1, 100000000)") { rows in
                    var iterator = rows.makeAsyncIterator()
                    return try await iterator.next()?.decode(Int.self)
                }
                #expect(first == 1)
                #expect(try await connection.query("select pg_backend_pid()").decodeOne(Int.self) == backend)
            }
            let kept = try await client.withTransaction { transaction in
                _ = try await transaction.query("create temp table kept (n int) on commit drop")
                try await transaction.withRows("select generate_series(1, 100000)") { rows in
                    for try await _ in rows { break }
                }
                _ = try await transaction.query("insert into kept values (1)")
                return try await transaction.query("select count(*) from kept").decodeOne(Int.self)
            }
            #expect(kept == 1)
        }
    }

    @Test("an error among the rows is thrown where they are read, with its SQLSTATE")
    func failsAmongRows() async throws {
        try await withSharedClient { client in
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withRows("select 1 / (3000 - n) from generate_series(1, 5000) n") { rows in
                    for try await _ in rows {}
                }
            }
            #expect(error?.sqlState == .divisionByZero)
            let one = try await client.query("select 1").decodeOne(Int.self)
            #expect(one == 1)
        }
    }

    @Test("an error that is caught among the rows of a transaction still undoes it")
    func failureCounts() async throws {
        try await withSharedClient { client in
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction { transaction in
                    try? await transaction.withRows("select 1 / 0") { rows in for try await _ in rows {} }
                }
            }
            #expect(error?.kind == .rolledBack && error?.sqlState == .divisionByZero)
        }
    }

    @Test("another statement on the same connection meanwhile is refused, and the rows go on")
    func oneAtATime() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                // The compiler lets `connection` into the closure of `withRows`, which borrows it as well.
                try await connection.withRows("select generate_series(1, 1000)") { rows in
                    let error = await #expect(throws: PostgresClientError.self) {
                        try await connection.query("select 1")
                    }
                    #expect(error?.kind == .misuse)
                    var count = 0
                    for try await _ in rows { count += 1 }
                    #expect(count == 1_000)
                }
            }
        }
    }

    @Test("data goes in and comes out by COPY, in pieces of any size", arguments: [1, 7, 100_000])
    func copy(piece: Int) async throws {
        try await withSharedClient { client in
            let rows = piece == 1 ? 300 : 20_000
            let bytes = Array((0..<rows).map { "\($0)\tname \($0)\n" }.joined().utf8)
            let pieces = AsyncStream<ArraySlice<UInt8>> { stream in
                for begin in stride(from: 0, to: bytes.count, by: piece) {
                    stream.yield(bytes[begin..<min(begin + piece, bytes.count)])
                }
                stream.finish()
            }
            try await client.withConnection { connection in
                _ = try await connection.query("create temp table copied (id int, name text)")
                #expect(try await connection.copyIn("copy copied from stdin", from: pieces) == rows)
                var out: [UInt8] = []
                try await connection.withCopyOut("copy (select * from copied order by id) to stdout") { data in
                    for try await bytes in data { out += bytes }
                }
                #expect(out == bytes)
            }
        }
    }

    private struct SourceFailed: Error {}

    @Test("a source that fails copies nothing, and its error is thrown")
    func sourceFails() async throws {
        try await withSharedClient { client in
            let source = AsyncThrowingStream<[UInt8], any Error> { stream in
                stream.yield(Array("1\n2\n".utf8))
                stream.finish(throwing: SourceFailed())
            }
            try await client.withConnection { connection in
                _ = try await connection.query("create temp table copied (n int)")
                await #expect(throws: SourceFailed.self) {
                    try await connection.copyIn("copy copied from stdin", from: source)
                }
                #expect(try await connection.query("select count(*) from copied").decodeOne(Int.self) == 0)
            }
        }
    }

    @Test("rows and data that are mixed up are errors, and the connection goes on")
    func mixedUp() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                let out = await #expect(throws: PostgresClientError.self) {
                    try await connection.withRows("copy (select 1) to stdout") { for try await _ in $0 {} }
                }
                #expect(out?.kind == .misuse)
                let rows = await #expect(throws: PostgresClientError.self) {
                    try await connection.withCopyOut("select 1") { for try await _ in $0 {} }
                }
                #expect(rows?.kind == .misuse)
                let source = AsyncStream<[UInt8]> { stream in
                    stream.yield([1])
                    stream.finish()
                }
                await #expect(throws: PostgresClientError.self) {
                    try await connection.copyIn("select 1", from: source)
                }
                let one = try await connection.query("select 1").decodeOne(Int.self)
                #expect(one == 1)
            }
        }
    }

    @Test("a cancelled task stops reading, and the client goes on")
    func cancelled() async throws {
        try await withSharedClient { client in
            let task = Task {
                try await client.withRows("select generate_series(1, 1000000), pg_sleep(0.001)") { rows in
                    for try await _ in rows { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }
            let error = await #expect(throws: PostgresClientError.self) { try await task.value }
            #expect(error?.kind == .cancelled)
            let one = try await client.query("select 1").decodeOne(Int.self)
            #expect(one == 1)
        }
    }
}
