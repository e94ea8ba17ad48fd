import Benchmarks
import FaultLab
import Testing

@Suite("A limit")
struct LimitTests {
    @Test(
        "passes figures up to it, and fails others",
        arguments: [
            (Limit.atMost(13), 12.9, true), (.atMost(13), 13, true), (.atMost(13), 13.1, false),
            (.atLeast(1), 0.99, false), (.atLeast(1), 1, true), (.atMost(13), nil, false), (.atLeast(1), nil, false),
            (.atMost(1), .nan, false), (.atLeast(1), .nan, false),
        ] as [(Limit, Double?, Bool)])
    func allows(limit: Limit, value: Double?, isKept: Bool) {
        #expect(limit.check("figure", value).isKept == isKept)
    }

    @Test("is printed with its figure")
    func text() {
        #expect(
            Limit.atMost(13).check("binary", 12.64, digits: 1, unit: " MB").text == "binary: 12.6 MB (at most 13.0)")
        #expect(Limit.atLeast(1.5).check("rate", nil).text == "rate: – (at least 1.50)")
    }

    @Test("of the comparison is broken by a slower service, and missing without the peer")
    func comparison() {
        func report(own: Double, nginx: Double?) -> ComparisonReport {
            var plan = Comparison.Plan()
            plan.connections = [64]
            var figures = [
                Comparison.Cell(path: "/", connections: 64, name: ComparisonReport.own): [
                    Measurement(requestsPerSecond: own)
                ]
            ]
            if let nginx {
                figures[Comparison.Cell(path: "/", connections: 64, name: "nginx")] = [
                    Measurement(requestsPerSecond: nginx)
                ]
            }
            return ComparisonReport(
                figures, order: ["daruma", "nginx"], plan: plan, missing: [], host: HostInfo(load: 0, processors: 2))
        }
        #expect(report(own: 90, nginx: 100).checks.map(\.isKept) == [false])
        #expect(report(own: 110, nginx: 100).checks.map(\.isKept) == [true])
        #expect(report(own: 90, nginx: nil).checks.isEmpty)
        #expect(
            report(own: 90, nginx: 100).json.contains(
                "\"name\": \"nginx\", \"requestsPerSecond\": 100, \"p50ms\": null"))
    }
}
