import DispatchLoop
import Foundation
import MetricDescriptions
import Testing

@testable import DarumaService
@testable import PrometheusExposition

@LoopActor
@Suite struct MetricsTableTests {
    @Test("the README's table of metrics is what the metrics say of themselves")
    func table() throws {
        let readme = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../Sources/Service/DarumaService/DarumaService.docc/Metrics.md")
        let text = try String(contentsOf: readme, encoding: .utf8)
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
