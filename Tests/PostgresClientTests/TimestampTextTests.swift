import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresClient

private typealias Reason = PostgresDecodingError.Reason

@Suite(.timeLimit(.minutes(1))) struct TimestampTextTests {
    @Test(
        "times are read",
        arguments: [
            ("1970-01-01", 0), ("1970-01-01 00:00:00", 0), ("1970-01-01 00:00:00+00", 0),
            ("1970-01-01 05:45:00.5+05:45", 500_000), ("1969-12-31 23:59:59.999999+00", -1),
            ("2000-02-29 12:00:00-03", 951_836_400_000_000), ("0001-01-01 00:00:00+00", -62_135_596_800_000_000),
            ("1970-01-01 12:00:00-07:52:58", 71_578_000_000),
        ] as [(String, Int64)])
    func read(text: String, microseconds: Int64) throws {
        #expect(try TimestampText.microseconds(in: text) == microseconds)
    }

    @Test(
        "times that a date does not have are refused",
        arguments: ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01 00:00:00+00", "5874897-12-31"])
    func notDates(text: String) {
        #expect(throws: Reason.notADate) { try TimestampText.microseconds(in: text) }
    }

    @Test(
        "other forms are refused, and do not trap",
        arguments: [
            "", "27.11.2026", "11/27/2026", "2026-11-27T12:00:00", "2026-11-27 12:00:00 CET", "2026-13-01",
            "2026-01-00", "99999999-01-01", "2026-1-1", "2026-11-27 12:00", "2026-11-27 12:00:00.",
            "2026-11-27 12:00:00+",
            "2026-11-27 12:00:00+0", "2026-11-27 12:00:00+00x",
        ])
    func malformed(text: String) {
        #expect(throws: Reason.malformed) { try TimestampText.microseconds(in: text) }
    }

    @Test("every time of the years 1 to 9999 is written and read, as the server does")
    func roundTrip() async throws {
        var (generator, comment) = seeded("TimestampTextTests.roundTrip")
        let range: ClosedRange<Int64> = -62_135_596_800_000_000...253_402_300_799_999_999
        var times = [range.lowerBound, range.upperBound, 0, -1, 1]
        for _ in 0..<500 { times.append(.random(in: range, using: &generator)) }
        let texts = times.map { TimestampText.text(of: $0) }
        for (time, text) in zip(times, texts) {
            #expect(try text.map { try TimestampText.microseconds(in: $0) } == time, comment)
        }
        #expect(TimestampText.text(of: range.lowerBound - 1) == nil)
        #expect(TimestampText.text(of: range.upperBound + 1) == nil)
        try await withClient(try await hostileURL()) { client in
            // The server's arithmetic, and its own text.
            let rows = try await client.query(
                "select extract(epoch from t)::numeric * 1000000, t::text from unnest(\(texts)::timestamptz[]) t")
            for (row, time) in zip(try rows.decode((Int64, String).self), times) {
                #expect(row.0 == time, comment)
                #expect(try TimestampText.microseconds(in: row.1) == time, comment)
            }
        }
    }
}
