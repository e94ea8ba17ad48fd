internal import MetricDescriptions

/// All metric families by name. "Family" is Prometheus's word for all series of one name.
struct Families: Sendable {
    let seriesLimit: Int
    private var families: [String: Family] = [:]

    init(seriesLimit: Int) {
        self.seriesLimit = seriesLimit
    }

    var sorted: [Family] { families.values.sorted { $0.name < $1.name } }

    /// The instrument for these labels, made on demand; `nil` if the name belongs to another kind.
    mutating func instrument<Instrument: AnyObject & Sendable>(
        _ description: MetricDescription, _ labels: String, _ make: () -> Instrument
    ) -> Instrument? {
        let name = TextFormat.name(description)
        var family = families[name] ?? Family(name: name, description: description)
        guard family.accepts(Instrument.self) else { return nil }
        defer { families[name] = family }
        return family.instrument(labels, limit: seriesLimit, make)
    }

    mutating func remove(_ instrument: ObjectIdentifier) {
        for name in families.keys { families[name]?.remove(instrument) }
    }
}

/// One metric: its name, its description, and its instruments by labels.
struct Family: Sendable {
    /// The labels that count all combinations beyond the limit
    /// (https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute).
    static let overflow = "otel_metric_overflow=\"true\""

    let name: String
    let description: MetricDescription
    private var series: [String: any AnyObject & Sendable] = [:]

    init(name: String, description: MetricDescription) {
        self.name = name
        self.description = description
    }

    /// Whether instruments of this type match the description.
    func accepts(_ type: any AnyObject.Type) -> Bool {
        switch description.kind {
        case .counter: type == CounterInstrument.self
        case .gauge: type == GaugeInstrument.self
        case .histogram: type == HistogramInstrument.self
        }
    }

    mutating func instrument<Instrument: AnyObject & Sendable>(_ labels: String, limit: Int, _ make: () -> Instrument)
        -> Instrument?
    {
        let labels = series[labels] != nil || series.count < limit ? labels : Self.overflow
        if let known = series[labels] { return known as? Instrument }
        let instrument = make()
        series[labels] = instrument
        return instrument
    }

    mutating func remove(_ instrument: ObjectIdentifier) {
        series = series.filter { ObjectIdentifier($0.value) != instrument }
    }

    // MARK: Text

    func write(to text: inout [UInt8]) {
        guard !series.isEmpty else { return }
        func add(_ line: String) { text.append(contentsOf: line.utf8) }
        if !description.help.isEmpty { add("# HELP \(name) \(TextFormat.escapedHelp(description.help))\n") }
        add("# TYPE \(name) \(TextFormat.type(description.kind, name: name))\n")
        for (labels, instrument) in series.sorted(by: { $0.key < $1.key }) {
            let braces = labels.isEmpty ? "" : "{\(labels)}"
            switch instrument {
            case let instrument as CounterInstrument: add("\(name)\(braces) \(TextFormat.number(instrument.value))\n")
            case let instrument as GaugeInstrument: add("\(name)\(braces) \(TextFormat.number(instrument.value))\n")
            case let instrument as HistogramInstrument:
                let more = labels.isEmpty ? "" : labels + ","
                let counts = instrument.cumulativeCounts
                for (bound, count) in zip(instrument.boundaries + [.infinity], counts) {
                    add("\(name)_bucket{\(more)le=\"\(TextFormat.number(bound))\"} \(count)\n")
                }
                add("\(name)_sum\(braces) \(TextFormat.number(instrument.sum))\n")
                add("\(name)_count\(braces) \(counts.last ?? 0)\n")
            default: break
            }
        }
    }
}
