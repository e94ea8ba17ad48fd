import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresClient

/// Every type, to the server and back, under the default role and under one whose settings are all others.
@Suite(.timeLimit(.minutes(3))) struct RoundTripTests {
    enum Role: CaseIterable { case usual, hostile }

    private func withRole(_ role: Role, _ body: (PostgresClient) async throws -> Void) async throws {
        let url = try await role == .usual ? SharedSandbox.get().connectionURL() : hostileURL()
        try await withClient(url) { try await body($0) }
    }

    /// Sends values, alone and as an array, and reads them again, with what the server takes them for.
    private func check<Value: PostgresCodable & Equatable>(
        _ values: [Value], as type: String, on client: PostgresClient, _ comment: Comment,
        isSame: (Value, Value) -> Bool = { $0 == $1 }
    ) async throws {
        for value in values {
            let cast: SQLStatement = """
                select \(value)::\(unescaped: type), (\(value)::\(unescaped: type))::text, \(value)::text::\(unescaped: type)
                """
            let row = try await client.query(cast)
            let (read, text, again) = try row.decodeOne((Value, String, Value).self)
            #expect(isSame(read, value) && isSame(again, value), "\(type) \(text), \(comment)")
            // What the server writes is what is sent, where the type has one text for each value.
            if Value.self != JSONText.self, let own = try value.postgresText(), !["-0.0", "-0"].contains(own) {
                #expect(try isSame(Value.decode(PostgresValue(text: own, type: PostgresType(oid: 0))), value), comment)
            }
        }
        if Value.self == UInt8.self { return }
        let array = try await client.query(
            "select \(values)::\(unescaped: type)[], \(values + values)::\(unescaped: type)[]")
        let (one, two) = try array.decodeOne(([Value], [Value]).self)
        #expect(one.elementsEqual(values, by: isSame) && two.count == 2 * values.count, "\(type)[], \(comment)")
        let optional: [Value?] = values.flatMap { [$0, nil] }
        let nulls = try await client.query("select \(optional)::\(unescaped: type)[]").decodeOne([Value?].self)
        let areSame = nulls.elementsEqual(optional) { left, right in
            if let left, let right { isSame(left, right) } else { left == nil && right == nil }
        }
        #expect(areSame, "\(type)[] with NULL, \(comment)")
        #expect(try await client.query("select \([Value]())::\(unescaped: type)[]").decodeOne([Value].self).isEmpty)
        #expect(try await client.query("select \(Value?.none)::\(unescaped: type)").decodeOne(Value?.self) == nil)
    }

    private func integers<Number: FixedWidthInteger & PostgresCodable & Sendable>(
        _ type: Number.Type, as name: String, on client: PostgresClient, _ generator: inout SplitMix64,
        _ comment: Comment, in range: ClosedRange<Number>
    ) async throws {
        var values: [Number] = [range.lowerBound, range.upperBound, 0, 1]
        for _ in 0..<10 { values.append(.random(in: range, using: &generator)) }
        try await check(values, as: name, on: client, comment)
    }

    @Test("integers", arguments: Role.allCases)
    func integers(role: Role) async throws {
        var (generator, comment) = seeded("RoundTripTests.integers")
        try await withRole(role) { client in
            try await integers(Int.self, as: "int8", on: client, &generator, comment, in: .min ... .max)
            try await integers(Int64.self, as: "int8", on: client, &generator, comment, in: .min ... .max)
            try await integers(Int32.self, as: "int4", on: client, &generator, comment, in: .min ... .max)
            try await integers(Int16.self, as: "int2", on: client, &generator, comment, in: .min ... .max)
            try await integers(Int8.self, as: "int2", on: client, &generator, comment, in: .min ... .max)
            try await integers(UInt8.self, as: "int2", on: client, &generator, comment, in: .min ... .max)
            try await integers(UInt16.self, as: "int4", on: client, &generator, comment, in: .min ... .max)
            try await integers(UInt32.self, as: "int8", on: client, &generator, comment, in: .min ... .max)
            try await integers(UInt64.self, as: "numeric", on: client, &generator, comment, in: .min ... .max)
            try await integers(UInt.self, as: "int8", on: client, &generator, comment, in: 0...UInt(Int.max))
            try await integers(Int128.self, as: "numeric", on: client, &generator, comment, in: .min ... .max)
            try await integers(UInt128.self, as: "numeric", on: client, &generator, comment, in: .min ... .max)
        }
    }

    @Test("floating-point numbers", arguments: Role.allCases)
    func floats(role: Role) async throws {
        var (generator, comment) = seeded("RoundTripTests.floats")
        var doubles: [Double] = [
            0, -0.0, 1, 0.1, 0.1 + 0.2, .pi, .nan, .infinity, -.infinity, .greatestFiniteMagnitude,
            .leastNormalMagnitude,
            .leastNonzeroMagnitude, 1e15, 1e16, 123_456_789_012_345_680, 1e-5,
        ]
        var floats: [Float] = [
            0, -0.0, 1, 0.1, .pi, .nan, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNormalMagnitude,
            .leastNonzeroMagnitude, 16_777_216, 1e-5,
        ]
        while doubles.count < 40 {
            doubles.append(Double(bitPattern: generator.next()))
            floats.append(Float(bitPattern: UInt32(truncatingIfNeeded: generator.next())))
        }
        try await withRole(role) { client in
            try await check(doubles, as: "float8", on: client, comment) {
                $0.isNaN && $1.isNaN || $0.bitPattern == $1.bitPattern
            }
            try await check(floats, as: "float4", on: client, comment) {
                $0.isNaN && $1.isNaN || $0.bitPattern == $1.bitPattern
            }
        }
    }

    private func randomText(_ generator: inout SplitMix64) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...20, using: &generator) {
            let letters: [Unicode.Scalar] = ["\"", "\\", "'", "{", "}", ",", "\n", "\t", " ", "$", "N", "\u{FFFD}"]
            if Bool.random(using: &generator), let letter = letters.randomElement(using: &generator) {
                text.unicodeScalars.append(letter)
            } else if let scalar = Unicode.Scalar(UInt32.random(in: 1...0x10_FFFF, using: &generator)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    @Test("texts, binary data and truth values", arguments: Role.allCases)
    func texts(role: Role) async throws {
        var (generator, comment) = seeded("RoundTripTests.texts")
        var texts = ["", "NULL", "null", "\\x00", "{}", "ä€😀", "it's", "a\\", "%s", "$1", "\u{FFFD}"]
        var bytes: [[UInt8]] = [[], [0], [255], Array(0...255), Array("\\x".utf8)]
        for _ in 0..<20 {
            texts.append(randomText(&generator))
            bytes.append(
                (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                    UInt8(truncatingIfNeeded: generator.next())
                })
        }
        try await withRole(role) { client in
            // By scalars: equal texts may be written otherwise.
            try await check(texts, as: "text", on: client, comment) {
                $0.unicodeScalars.elementsEqual($1.unicodeScalars)
            }
            for value in bytes {
                let (read, hash) = try await client.query("select \(value), encode(\(value), 'hex')")
                    .decodeOne(([UInt8], String).self)
                #expect(read == value, comment)
                #expect(try BytesText.bytes(in: "\\x" + hash) == value, comment)
            }
            #expect(try await client.query("select \(bytes)").decodeOne([[UInt8]].self) == bytes, comment)
            try await check([true, false], as: "bool", on: client, comment)
            let json = [JSONText(#"{"a": [1, null, "ä\"\\"]}"#), JSONText("null")]
            try await check(json, as: "jsonb", on: client, comment)
        }
    }

    enum Mood: String, PostgresCodable, CaseIterable { case happy, sad = "it's \"sad\"" }
    enum Level: Int16, PostgresCodable, CaseIterable { case low = -1, high = 7 }

    @Test("enumerations, in Swift and in the database", arguments: Role.allCases)
    func enumerations(role: Role) async throws {
        try await withRole(role) { client in
            try await client.withConnection { connection in
                _ = try await connection.query(
                    #"set search_path to pg_temp; create type pg_temp.mood as enum ('happy', 'it''s "sad"')"#)
                for mood in Mood.allCases {
                    let read = try await connection.query("select \(mood)::mood, \([mood, mood])::mood[]")
                        .decodeOne((Mood, [Mood]).self)
                    #expect(read == (mood, [mood, mood]))
                }
                _ = try await connection.query("create temporary table moods (mood mood)")
                _ = try await connection.query("insert into moods values (\(Mood.sad))")
                #expect(try await connection.query("select * from moods where mood = \(Mood.sad)").count == 1)
            }
            let levels = try await client.query("select \(Level.low), \(Level.allCases)")
            let (level, all) = try levels.decodeOne((Level, [Level]).self)
            #expect(level == .low && all == Level.allCases)
        }
    }

    @Test("parameters alone need no cast")
    func uncast() async throws {
        try await withSharedClient { client in
            let row = try await client.query(
                "select \(1), \(2.5), \(true), \("a"), \([UInt8(1)]), \([1, 2]), \(Int32(3)) + \(4), \(Int?.none)")
            let values = try row.decodeOne((Int, Double, Bool, String, [UInt8], [Int], Int, Int?).self)
            #expect((values.0, values.1, values.2, values.3) == (1, 2.5, true, "a"))
            #expect((values.4, values.5, values.6, values.7) == ([1], [1, 2], 7, nil))
        }
    }

    @Test("parameters meet columns of other integer types, and use their index")
    func columns() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                _ = try await connection.query(
                    """
                    create temporary table numbers (
                        small int2, normal int4 primary key, big int8, exact numeric, f float8);
                    insert into numbers select n % 100, n, n, n, n from generate_series(1, 10000) n;
                    analyze numbers
                    """)
                _ = try await connection.query(
                    "insert into numbers values (\(1), \(20_000), \(UInt(3)), \(4), \(5))")
                let found = try await connection.query(
                    "select small, big, exact, f from numbers where normal = \(20_000) and big = \(UInt64(3))")
                #expect(try found.decodeOne((Int, UInt, Int, Double).self) == (1, UInt(3), 4, 5.0))
                let plan = try await connection.query("explain select * from numbers where normal = \(77)")
                #expect(try plan.decode(String.self).joined().contains("Index"))
                let any = try await connection.query("select count(*) from numbers where normal = any(\([1, 2, 3]))")
                #expect(try any.decodeOne(Int.self) == 3)
                let error = await #expect(throws: PostgresClientError.self) {
                    try await connection.query("insert into numbers values (\(40_000), \(30_000))")
                }
                #expect(error?.sqlState == .numericValueOutOfRange)
            }
        }
    }
}
