#if Foundation
    import DispatchLoop
    import Foundation
    import PostgresTestKit
    import Testing

    @testable import PostgresClient

    /// The types of the package trait `Foundation`.
    @Suite(.timeLimit(.minutes(1))) struct FoundationTests {
        @Test("UUID, Data and Codable values")
        func others() async throws {
            struct Note: Codable, Equatable { var text: String; var tags: [String]; var when: Double? }
            try await withClient(try await hostileURL()) { client in
                for _ in 0..<20 {
                    let (id, note) = (UUID(), Note(text: "ä\"\\\u{1}", tags: ["a", ""], when: 0.1))
                    let data = Data((0..<9).map { _ in UInt8.random(in: 0...255) })
                    let row = try await client.query(
                        "select \(id), \([id, nil]), \(data), \([data]), \(JSON(note))::jsonb, \(JSON(note))::json, \(id)::text"
                    )
                    let values = try row.decodeOne(
                        (UUID, [UUID?], Data, [Data], JSON<Note>, JSON<Note>, String).self)
                    #expect((values.0, values.2, values.3) == (id, data, [data]))
                    #expect(values.1 == [id, nil])
                    #expect((values.4.value, values.5.value) == (note, note))
                    #expect(values.6 == id.uuidString.lowercased())
                }
            }
        }

        @Test("dates, to the microsecond")
        func dates() async throws {
            var (generator, comment) = seeded("FoundationTests.dates")
            try await withClient(try await hostileURL()) { client in
                for _ in 0..<100 {
                    // From 1730 to 2270.
                    let microseconds = Int64.random(
                        in: -7_500_000_000_000_000...9_400_000_000_000_000, using: &generator)
                    let text = try #require(TimestampText.text(of: microseconds))
                    let date = try await client.query("select \(text)::timestamptz").decodeOne(Date.self)
                    #expect(try date.postgresText() == text, comment)
                    let row = try await client.query(
                        "select \(date) = \(text)::timestamptz, \(date)::timestamp, \([date]), extract(epoch from \(date))"
                    )
                    let (isSame, local, array, epoch) = try row.decodeOne((Bool, Date, [Date], Decimal).self)
                    #expect(isSame && local == date && array == [date], comment)
                    #expect(epoch * 1_000_000 == Decimal(microseconds), comment)
                }
                let midnight = try await client.query("select date '2026-11-27'").decodeOne(Date.self)
                #expect(try midnight.postgresText() == "2026-11-27 00:00:00.000000+00")
                for bad in ["infinity", "-infinity", "0044-03-15 BC", "20000-01-01"] {
                    let rows = try await client.query("select \(bad)::timestamptz as bad")
                    let error = #expect(throws: PostgresDecodingError.self) { try rows.decodeOne(Date.self) }
                    #expect(error?.reason == .notADate)
                    #expect(error?.columnName == "bad")
                }
                for bad in [
                    Date.distantFuture.addingTimeInterval(1e15), Date(timeIntervalSince1970: .infinity),
                    Date(timeIntervalSince1970: .nan), Date(timeIntervalSince1970: -1e11),
                ] {
                    let error = await #expect(throws: PostgresClientError.self) {
                        try await client.query("select \(bad)")
                    }
                    #expect(error?.kind == .invalidStatement)
                }
            }
        }

        @Test("decimals are exact, or an error")
        func decimals() async throws {
            var (generator, comment) = seeded("FoundationTests.decimals")
            try await withClient(try await hostileURL()) { client in
                for _ in 0..<200 {
                    let digits = (0..<Int.random(in: 1...38, using: &generator)).map { _ in
                        String(Int.random(in: 0...9, using: &generator))
                    }.joined()
                    let scale = Int.random(in: 0...40, using: &generator)
                    let sign = Bool.random(using: &generator) ? "-" : ""
                    let text = "\(sign)\(digits)e-\(scale)"
                    let row = try await client.query("select \(text)::numeric, (\(text)::numeric)::text")
                    let (decimal, written) = try row.decodeOne((Decimal, String).self)
                    let isSame = try await client.query("select \(decimal) = \(written)::numeric, \(decimal)")
                        .decodeOne((Bool, Decimal).self)
                    #expect(isSame.0 && isSame.1 == decimal, "\(text), \(comment)")
                }
                #expect(try await client.query("select 'NaN'::numeric").decodeOne(Decimal.self).isNaN)
                #expect(try await client.query("select \(Decimal.nan)").decodeOne(Decimal.self).isNaN)
                for bad in ["1e400", "1e-400", "1234567890123456789012345678901234567890.5", "Infinity"] {
                    let rows = try await client.query("select \(bad)::numeric as bad")
                    let error = #expect(throws: PostgresDecodingError.self) { try rows.decodeOne(Decimal.self) }
                    #expect(error?.reason == .outOfRange, "\(bad)")
                }
            }
        }
    }
#endif
