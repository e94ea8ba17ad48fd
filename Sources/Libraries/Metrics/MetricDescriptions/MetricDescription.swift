/// The parts of a metric's meaning that swift-metrics does not pass to a backend: kind, unit and help text.
///
/// Labels and dimensions are those of OpenTelemetry's semantic conventions, with dots; a backend converts them.
public struct MetricDescription: Sendable, Hashable {
    /// The kind of the values.
    public enum Kind: Sendable, Hashable {
        /// Only grows.
        case counter
        /// Goes up and down.
        case gauge
        /// A distribution, counted in buckets with these ascending upper boundaries in the metric's unit.
        case histogram([Double])
    }

    /// The unit of the values.
    public enum Unit: String, Sendable, Hashable {
        /// A count, or 1 for yes and 0 for no.
        case none = ""
        /// Seconds; for a point in time, those since 1970-01-01 UTC.
        case seconds
        /// Bytes.
        case bytes
    }

    /// The label, for instance `db.client.connection.count`.
    public let label: String
    /// The kind of the values.
    public let kind: Kind
    /// The unit of the values.
    public let unit: Unit
    /// The meaning in one sentence.
    public let help: String

    /// Creates a description.
    public init(_ label: String, _ kind: Kind, in unit: Unit = .none, _ help: String) {
        self.label = label
        self.kind = kind
        self.unit = unit
        self.help = help
    }
}
