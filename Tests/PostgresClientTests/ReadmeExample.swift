import PostgresClient

/// Notes of users, across outages of the database.
struct Notes: Sendable {
    let client: PostgresClient

    /// Runs the client beside the work of the service, until that ends.
    static func main(_ url: String, _ work: @Sendable (Notes) async throws -> Void) async throws {
        let client = PostgresClient(ConnectionConfiguration(url))
        try await withThrowingTaskGroup { group in
            group.addTask { await client.run() }
            try await work(Notes(client: client))  // An unreachable database is not an error: the client searches.
            group.cancelAll()
        }
    }

    /// The texts with a tag. Values become parameters, whatever is in them.
    func texts(with tag: String) async throws -> [String] {
        try await client.query(
            "select text from notes where \(tag) = any(tags) order by id",
            isIdempotent: true  // Reading twice does no harm: most outages are a delay then, and no error.
        ).decode(String.self)
    }
}

// MARK: types

enum Color: String, PostgresCodable { case red, blue }

struct Note: Equatable {
    var id: Int
    var text: String
    var color: Color
    var tags: [String]
    var picture: [UInt8]?

    init(_ row: Row) throws {
        id = try row["id"]
        text = try row["text"]
        color = try row["color"]
        tags = try row["tags"]
        picture = try row["picture"]
    }
}

extension Notes {
    func add(_ text: String, _ color: Color, tags: [String], picture: [UInt8]? = nil) async throws -> Int {
        try await client.query(
            """
            insert into notes (text, color, tags, picture)
            values (\(text), \(color), \(tags), \(picture)) returning id
            """
        ).decodeOne(Int.self)
    }

    func note(_ id: Int) async throws -> Note? {
        try await client.query("select * from notes where id = \(id)", isIdempotent: true).first.map(Note.init)
    }

    func count() async throws -> [(Color, Int)] {
        try await client.query("select color, count(*) from notes group by color order by color", isIdempotent: true)
            .decode((Color, Int).self)
    }
}

// MARK: transactions

extension Notes {
    /// Gives both notes the other one's text, or changes nothing.
    func swap(_ first: Int, _ second: Int) async throws {
        try await client.withTransaction(isolation: .serializable, retry: .upTo(5)) { transaction in
            let (one, two) = (try await text(first, in: transaction), try await text(second, in: transaction))
            _ = try await transaction.query("update notes set text = \(two) where id = \(first)")
            _ = try await transaction.query("update notes set text = \(one) where id = \(second)")
        }
    }

    private func text(_ id: Int, in transaction: PostgresTransaction) async throws -> String {
        try await transaction.query("select text from notes where id = \(id)").decodeOne(String.self)
    }
}

// MARK: errors

extension Notes {
    enum Outcome { case added(Int), duplicate, tryAgainLater, unknown }

    func addOnce(_ text: String) async throws -> Outcome {
        do {
            return .added(try await add(text, .red, tags: []))
        } catch let error as PostgresClientError {
            if error.sqlState == .uniqueViolation, error.cause?.constraint == "notes_text_key" { return .duplicate }
            if error.kind == .rejected { throw error }
            return error.isSafeToRetry ? .tryAgainLater : .unknown
        }
    }
}

// MARK: Many rows, and COPY

extension Notes {
    /// Reads every text, of which there may be millions.
    func forEachText(_ body: (String) throws -> Void) async throws {
        try await client.withRows("select text from notes order by id") { rows in
            for try await row in rows { try body(row.decode(String.self)) }
        }
    }

    /// Adds a note for each line, or none at all.
    func load<Lines: AsyncSequence>(_ lines: Lines) async throws -> Int where Lines.Element == [UInt8] {
        try await client.copyIn("copy notes (text) from stdin", from: lines)
    }
}
