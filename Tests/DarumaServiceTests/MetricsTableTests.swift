import DispatchLoop
import Foundation
import MetricDescriptions
import Testing

@testable import DarumaService
@testable import PrometheusExposition

@LoopActor
@Suite struct MetricsTableTests {
    @Test("the table in Metrics.md matches the metrics")
    func table() throws {
        let document = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../Sources/Service/DarumaService/DarumaService.docc/Metrics.md")
        let text = try String(contentsOf: document, encoding: .utf8)
        for description in MetricsEndpoint.descriptions {
            let type =
                switch description.kind {
                case .counter: "counter"
                case .gauge: "gauge"
                case .histogram: "histogram"
                }
            let row = "| `\(TextFormat.name(description))` | \(type) | \(description.help) |"
            #expect(text.contains(row), "missing: \(row)")
        }
    }
}
