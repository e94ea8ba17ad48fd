internal import MetricDescriptions

/// All metrics by name.
struct Families: Sendable {
    let seriesLimit: Int
    private var families: [String: Family] = [:]

    init(seriesLimit: Int) {
        self.seriesLimit = seriesLimit
    }

    var sorted: [Family] { families.values.sorted { $0.name < $1.name } }

    /// The cell for these labels, made if need be; `nil` when the name belongs to another kind of cell.
    mutating func cell<Cell: AnyObject & Sendable>(
        _ description: MetricDescription, _ labels: String, _ make: () -> Cell
    ) -> Cell? {
        let name = TextFormat.name(description)
        var family = families[name] ?? Family(name: name, description: description)
        guard family.accepts(Cell.self) else { return nil }
        defer { families[name] = family }
        return family.cell(labels, limit: seriesLimit, make)
    }

    mutating func remove(_ cell: ObjectIdentifier) {
        for name in families.keys { families[name]?.remove(cell) }
    }
}

/// One metric: its name, what it means, and its values by labels.
struct Family: Sendable {
    /// What all combinations beyond the limit are counted under
    /// (https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute).
    static let overflow = "otel_metric_overflow=\"true\""

    let name: String
    let description: MetricDescription
    private var series: [String: any AnyObject & Sendable] = [:]

    init(name: String, description: MetricDescription) {
        self.name = name
        self.description = description
    }

    /// Whether cells of this type are what the description promises.
    func accepts(_ type: any AnyObject.Type) -> Bool {
        switch description.kind {
        case .counter: type == CounterCell.self
        case .gauge: type == GaugeCell.self
        case .histogram: type == HistogramCell.self
        }
    }

    mutating func cell<Cell: AnyObject & Sendable>(_ labels: String, limit: Int, _ make: () -> Cell) -> Cell? {
        let labels = series[labels] != nil || series.count < limit ? labels : Self.overflow
        if let known = series[labels] { return known as? Cell }
        let cell = make()
        series[labels] = cell
        return cell
    }

    mutating func remove(_ cell: ObjectIdentifier) {
        series = series.filter { ObjectIdentifier($0.value) != cell }
    }

    // MARK: Text

    func write(to text: inout [UInt8]) {
        guard !series.isEmpty else { return }
        func add(_ line: String) { text.append(contentsOf: line.utf8) }
        if !description.help.isEmpty { add("# HELP \(name) \(TextFormat.escapedHelp(description.help))\n") }
        add("# TYPE \(name) \(TextFormat.type(description.kind, name: name))\n")
        for (labels, cell) in series.sorted(by: { $0.key < $1.key }) {
            let braces = labels.isEmpty ? "" : "{\(labels)}"
            switch cell {
            case let cell as CounterCell: add("\(name)\(braces) \(TextFormat.number(cell.value))\n")
            case let cell as GaugeCell: add("\(name)\(braces) \(TextFormat.number(cell.value))\n")
            case let cell as HistogramCell:
                let more = labels.isEmpty ? "" : labels + ","
                let counts = cell.cumulativeCounts
                for (bound, count) in zip(cell.boundaries + [.infinity], counts) {
                    add("\(name)_bucket{\(more)le=\"\(TextFormat.number(bound))\"} \(count)\n")
                }
                add("\(name)_sum\(braces) \(TextFormat.number(cell.sum))\n")
                add("\(name)_count\(braces) \(counts.last ?? 0)\n")
            default: break
            }
        }
    }
}
