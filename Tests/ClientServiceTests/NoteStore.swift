import PostgresClient

/// A note: a column of every type that the client supports without Foundation.
struct Note: Sendable, Equatable {
    enum Kind: String, PostgresCodable, CaseIterable { case memo, letter, list }
    enum Mood: Int16, PostgresCodable, CaseIterable { case low = -1, even, high }

    var id: Int
    var isPublic: Bool
    var small: Int16
    var medium: Int32
    var large: Int64
    var unsigned: UInt64
    var single: Float
    var double: Double
    var title: String
    var body: [UInt8]
    var tags: [String]
    var scores: [Int?]
    var kind: Kind
    var mood: Mood?
    var attributes: JSONText
}

/// Notes, of which each insert notifies; a report; and batches by COPY.
struct NoteStore: Sendable {
    /// Receives the id of each new note.
    static let channel = "notes"

    let client: PostgresClient

    func createTables() async throws {
        _ = try await client.query(
            """
            create table notes (
                id bigint primary key, is_public boolean not null, small smallint not null, medium integer not null,
                large bigint not null, unsigned numeric not null, single real not null, double float8 not null,
                title text not null, body bytea not null, tags text[] not null, scores bigint[] not null,
                kind text not null, mood smallint, attributes json not null);
            create table batch_rows (batch bigint not null, row integer not null, text text not null)
            """)
    }

    /// Not idempotent: after an error that is not safe to retry, nobody knows whether the note is there.
    func insert(_ note: Note) async throws {
        _ = try await client.query(
            """
            with inserted as (
                insert into notes values (
                    \(note.id), \(note.isPublic), \(note.small), \(note.medium), \(note.large), \(note.unsigned),
                    \(note.single), \(note.double), \(note.title), \(note.body), \(note.tags), \(note.scores),
                    \(note.kind), \(note.mood), \(note.attributes)) returning id)
            select pg_notify(\(Self.channel), id::text) from inserted
            """)
    }

    func note(_ id: Int) async throws -> Note? {
        try await client.query("select * from notes where id = \(id)", isIdempotent: true).first.map { row in
            try Note(
                id: row["id"], isPublic: row["is_public"], small: row["small"], medium: row["medium"],
                large: row["large"], unsigned: row["unsigned"], single: row["single"], double: row["double"],
                title: row["title"], body: row["body"], tags: row["tags"], scores: row["scores"], kind: row["kind"],
                mood: row["mood"], attributes: row["attributes"])
        }
    }

    /// The notes that are there.
    func ids() async throws -> Set<Int> {
        Set(try await client.query("select id from notes", isIdempotent: true).decode(Int.self))
    }

    func subscribe() async throws -> Subscription {
        try await client.subscribe(to: Self.channel, timeout: .seconds(30))
    }

    /// Reads a report of so many rows as it arrives. Returns how many there were, and the sum of the first column.
    func report(rows count: Int) async throws -> (rows: Int, sum: Int) {
        try await client.withRows(
            "select n, n % 7, 'row ' || n, n::float8 / 3, n % 2 = 0 from generate_series(1, \(count)) n"
        ) { rows in
            var (count, sum) = (0, 0)
            for try await row in rows {
                let (number, _, _, _, _) = try row.decode((Int, Int, String, Double, Bool).self)
                count += 1
                sum += number
            }
            return (count, sum)
        }
    }

    /// Copies a batch in: all of its rows, or none.
    func importBatch(_ batch: Int, rows: Int) async throws {
        let lines = AsyncStream<[UInt8]> { stream in
            for row in 0..<rows { stream.yield(Array("\(batch)\t\(row)\trow \(row) of \(batch)\n".utf8)) }
            stream.finish()
        }
        try await client.copyIn("copy batch_rows from stdin", from: lines)
    }

    /// Copies all batches out. Returns how many rows each has.
    func exportBatches() async throws -> [Int: Int] {
        try await client.withCopyOut("copy batch_rows to stdout") { data in
            var counts: [Int: Int] = [:]
            for try await bytes in data {
                // Pieces end with a row.
                for line in bytes.split(separator: UInt8(ascii: "\n")) {
                    let field = line.prefix { $0 != UInt8(ascii: "\t") }
                    if let batch = Int(String(decoding: field, as: UTF8.self)) { counts[batch, default: 0] += 1 }
                }
            }
            return counts
        }
    }
}
