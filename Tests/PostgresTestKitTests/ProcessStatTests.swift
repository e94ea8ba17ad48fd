import Glibc
import PostgresTestKit
import Testing

@Suite("/proc/<pid>/stat")
struct ProcessStatTests {
    /// A name with a space and parentheses. At 100 ticks a second: 1 s user and 2 s system time; for children, 3 s and
    /// 4 s.
    private static let line =
        "42 (a) (b c) S 7 42 42 0 -1 4194304 100 0 0 0 100 200 300 400 20 0 3 0 987654 10000 25 1 1 1\n"

    @Test("is read behind a name that holds spaces and parentheses")
    func reads() throws {
        let stat = try #require(ProcessStat(Self.line))
        let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
        #expect(stat.state == "S")
        #expect(stat.parent == 7)
        #expect(stat.startTime == 987_654)
        #expect(stat.processorTime == .microseconds(300 * 1_000_000 / ticks))
        #expect(stat.childProcessorTime == .microseconds(700 * 1_000_000 / ticks))
        #expect(stat.residentKilobytes == 25 * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024)
    }

    @Test("is nil if it is cut off, and exists for this process")
    func incomplete() {
        for length in [0, 5, 20, 60] { #expect(ProcessStat(String(Self.line.prefix(length))) == nil) }
        #expect(ProcessStat(of: getpid())?.parent == getppid())
    }
}

@Suite("Quoting")
struct QuotingTests {
    @Test("doubles SQL's quotes, and percent-encodes reserved characters")
    func quotes() {
        #expect(SQLText.literal("it's") == "'it''s'")
        #expect(SQLText.identifier("a\"b") == "\"a\"\"b\"")
        #expect("P@ss w/é~.-_9".percentEncoded == "P%40ss%20w%2F%C3%A9~.-_9")
    }
}
