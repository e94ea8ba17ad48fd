internal import MetricDescriptions

/// The text format, version 0.0.4
/// (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format), and OpenTelemetry's names in it
/// (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#metric-metadata-1).
package enum TextFormat {
    /// The value of `Content-Type`.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    /// The longest label value; longer ones are truncated.
    static let longestValue = 128

    /// `db.client.connection.timeouts`, a counter, is `db_client_connection_timeouts_total`.
    static func name(_ description: MetricDescription) -> String {
        var name = identifier(description.label, alsoColon: true)
        let unit = description.unit.rawValue
        if !unit.isEmpty, !name.hasSuffix("_\(unit)") { name += "_\(unit)" }
        if description.kind == .counter, !name.hasSuffix("_total") { name += "_total" }
        return name
    }

    /// The word after `# TYPE`. The conventions name a gauge `db.client.connection.count`, but Prometheus reserves that
    /// suffix for histograms and summaries. An "untyped" metric may have it, and queries treat both alike.
    static func type(_ kind: MetricDescription.Kind, name: String) -> String {
        switch kind {
        case .counter: "counter"
        case .gauge: ["_count", "_sum", "_bucket"].contains { name.hasSuffix($0) } ? "untyped" : "gauge"
        case .histogram: "histogram"
        }
    }

    /// The labels between the braces, with valid names and escaped values: text from outside cannot start a line or
    /// another label. Of two labels with the same name the first wins.
    static func labels(_ dimensions: [(String, String)]) -> String {
        var names: Set<String> = []
        var parts: [String] = []
        for (key, value) in dimensions {
            var name = identifier(key, alsoColon: false)
            // Histograms reserve `le`, Prometheus reserves names with two leading underscores.
            if name == "le" || name.hasPrefix("__") { name = "label_" + name }
            if names.insert(name).inserted { parts.append("\(name)=\"\(escaped(value))\"") }
        }
        return parts.joined(separator: ",")
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`; label names have no colon.
    static func identifier(_ text: String, alsoColon: Bool) -> String {
        var name = ""
        for scalar in text.unicodeScalars {
            let isAllowed =
                switch scalar {
                case "a"..."z", "A"..."Z", "0"..."9", "_": true
                case ":": alsoColon
                default: false
                }
            name.unicodeScalars.append(isAllowed ? scalar : "_")
        }
        if let first = name.unicodeScalars.first, !("0"..."9").contains(first) { return name }
        return "_" + name
    }

    /// A label's value, escaped.
    static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars.prefix(longestValue) {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            case _ where scalar.properties.generalCategory == .control: result.unicodeScalars.append("\u{FFFD}")
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// A description in a `# HELP` line.
    static func escapedHelp(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    /// `3`, `0.005`, `+Inf`: whole numbers without a fraction, as is usual in `le`.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value.magnitude < 1e15, value == value.rounded(.towardZero) { return String(Int(value)) }
        return "\(value)"
    }
}
