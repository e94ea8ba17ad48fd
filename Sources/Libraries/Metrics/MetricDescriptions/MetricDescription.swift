/// What a metric means: what a backend cannot learn from the label and the values that swift-metrics hands it.
///
/// Labels and dimensions are those of OpenTelemetry's semantic conventions, with dots; how they are spelt elsewhere is
/// the backend's business.
public struct MetricDescription: Sendable, Hashable {
    /// What the values are like.
    public enum Kind: Sendable, Hashable {
        /// Only grows.
        case counter
        /// Goes up and down.
        case gauge
        /// A distribution, counted in buckets with these upper boundaries, which are in the metric's unit and ascend.
        case histogram([Double])
    }

    /// What the values are in.
    public enum Unit: String, Sendable, Hashable {
        /// A number of things, or a yes (1) or no (0).
        case none = ""
        /// Seconds; for moments, those since 1970-01-01 UTC.
        case seconds
        /// Bytes.
        case bytes
    }

    /// The label, as `db.client.connection.count`.
    public let label: String
    /// What the values are like.
    public let kind: Kind
    /// What the values are in.
    public let unit: Unit
    /// What it means, in a sentence.
    public let help: String

    /// A description.
    public init(_ label: String, _ kind: Kind, in unit: Unit = .none, _ help: String) {
        self.label = label
        self.kind = kind
        self.unit = unit
        self.help = help
    }
}
