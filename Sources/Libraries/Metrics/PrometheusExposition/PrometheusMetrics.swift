package import CoreMetrics
internal import DispatchLoop
package import MetricDescriptions

/// A backend for swift-metrics that keeps the values and writes them in Prometheus's text format.
///
/// A description determines the name and type of a metric; a metric without one gets a name from its label. Making an
/// instrument takes a lock, recording does not.
package final class PrometheusMetrics: MetricsFactory {
    /// The default boundaries of timers in seconds: those that the conventions give for requests.
    static let standardBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

    private let descriptions: [String: MetricDescription]
    private let families: Locked<Families>

    /// Creates a backend for described metrics.
    ///
    /// - Parameter seriesLimit: The most combinations of labels of one metric. All further ones share the labels
    ///   `otel_metric_overflow="true"`, as in OpenTelemetry.
    package init(_ descriptions: [MetricDescription], seriesLimit: Int = 1_000) {
        self.descriptions = Dictionary(descriptions.map { ($0.label, $0) }, uniquingKeysWith: { first, _ in first })
        families = Locked(Families(seriesLimit: seriesLimit))
    }

    /// All values in the text format, sorted by name. May be called off the loop.
    package func text() -> [UInt8] {
        // Holds the lock only to copy references, so a new instrument does not wait for the text.
        families.withLock { $0.sorted }.reduce(into: []) { $1.write(to: &$0) }
    }

    // MARK: Instruments

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        aggregate ? histogram(label, dimensions, .none) : gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions, .seconds)
    }

    package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterInstrument {
        let description = descriptions[label] ?? MetricDescription(label, .counter, "")
        return instrument(description, dimensions) { CounterInstrument() }
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeInstrument {
        let description = descriptions[label] ?? MetricDescription(label, .gauge, "")
        return instrument(description, dimensions) { GaugeInstrument() }
    }

    private func histogram(
        _ label: String, _ dimensions: [(String, String)], _ unit: MetricDescription.Unit
    ) -> HistogramInstrument {
        let description =
            descriptions[label] ?? MetricDescription(label, .histogram(Self.standardBoundaries), in: unit, "")
        let boundaries = if case .histogram(let own) = description.kind { own } else { Self.standardBoundaries }
        return instrument(description, dimensions) { HistogramInstrument(boundaries: boundaries) }
    }

    /// The instrument for these labels. An instrument whose kind differs from that of its name works but is never
    /// exported, because two types under one name would invalidate the whole text.
    private func instrument<Instrument: AnyObject & Sendable>(
        _ description: MetricDescription, _ dimensions: [(String, String)], _ make: @Sendable () -> Instrument
    ) -> Instrument {
        let labels = TextFormat.labels(dimensions)
        return families.withLock { $0.instrument(description, labels, make) } ?? make()
    }

    private func remove(_ instrument: AnyObject) {
        let identity = ObjectIdentifier(instrument)
        families.withLock { $0.remove(identity) }
    }
}
