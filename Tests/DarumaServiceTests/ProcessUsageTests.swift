import Testing

@testable import DarumaService

@Suite struct ProcessUsageTests {
    /// The second field is the command's name in parentheses (proc(5)).
    private static let stat =
        "4242 (a) (b c) S 1 4242 4242 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 7 0 1234 500000000 6000 0"

    @Test("the parser finds the fields of /proc/self/stat after the last parenthesis")
    func fields() throws {
        let usage = try #require(ProcessUsage(stat: Self.stat, ticks: 100, page: 4096))
        #expect(usage.cpuSeconds == 3)
        #expect(usage.threads == 7)
        #expect(usage.virtualBytes == 500_000_000)
        #expect(usage.residentBytes == 6_000 * 4_096)
        #expect(usage.startTime(bootStat: "cpu 1 2\nbtime 1700000000\nprocesses 3\n", ticks: 100) == 1_700_000_012.34)
    }

    @Test("a malformed line is nil", arguments: ["", "1 (a)", "1 (a) S 2 3", "no parenthesis"])
    func malformed(text: String) {
        #expect(ProcessUsage(stat: text, ticks: 100, page: 4096) == nil)
    }

    @Test("this process has memory, threads, descriptors and a start time")
    func own() throws {
        let usage = try #require(ProcessUsage.now())
        #expect(usage.residentBytes > 1 << 20)
        #expect(usage.threads >= 1)
        #expect(usage.openDescriptors >= 3)
        #expect(try #require(ProcessUsage.startTime) > 1_600_000_000)
    }
}
