import Benchmarks
import Testing

@Suite("A report of wrk")
struct WrkReportTests {
    static let output = """
        Running 2s test @ http://127.0.0.1:18080/
          1 threads and 64 connections
          Thread Stats   Avg      Stdev     Max   +/- Stdev
            Latency     1.97ms    2.93ms  24.48ms   84.93%
            Req/Sec    49.14k     8.75k   73.40k    80.00%
          Latency Distribution
             50%  338.00us
             75%    3.00ms
             90%    6.21ms
             99%   12.24ms
          99661 requests in 2.04s, 15.97MB read
        Requests/sec:  48852.16
        Transfer/sec:      7.83MB
        """

    @Test("is read, with latencies in milliseconds")
    func whole() throws {
        let report = try #require(WrkReport(Self.output))
        #expect(report.requests == 99_661)
        #expect(report.perSecond == 48_852.16)
        #expect(report.p50 == 0.338)
        #expect(report.p99 == 12.24)
        #expect(report.failures == 0)
    }

    @Test("counts failures")
    func failures() throws {
        let text = Self.output.replacing(
            "Requests/sec:",
            with: "  Socket errors: connect 0, read 2, write 1, timeout 3\n  Non-2xx or 3xx responses: 4\nRequests/sec:"
        )
        #expect(try #require(WrkReport(text)).failures == 10)
    }

    @Test("is nil if it is cut off")
    func partial() {
        #expect(WrkReport(String(Self.output.prefix(300))) == nil)
    }
}

@Suite("Figures")
struct FigureTests {
    @Test(
        "are rounded to a number of digits",
        arguments: [(1.0, 2, "1.00"), (0.049, 2, "0.05"), (12.345, 1, "12.3"), (-0.5, 1, "−0.5"), (99.96, 0, "100")])
    func fixed(value: Double, digits: Int, text: String) { #expect(Figure.fixed(value, digits) == text) }

    @Test("have grouped thousands", arguments: [(7.0, "7"), (999.6, "1,000"), (1_234_567.0, "1,234,567")])
    func grouped(value: Double, text: String) { #expect(Figure.grouped(value) == text) }

    @Test("have a median that ignores an outlier")
    func medians() {
        #expect(median([3, 1, 1000]) == 3)
        #expect(median([4, 2]) == 3)
        #expect(median([]) == nil)
    }
}
