/// Formats figures without Foundation.
package enum Figure {
    /// `1234.567` with two digits is `1234.57`; nil is a dash.
    package static func fixed(_ value: Double?, _ digits: Int) -> String {
        guard let value, value.isFinite else { return "–" }
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = Int((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let rest = String(abs(scaled) % Int(scale))
        let sign = scaled < 0 ? "−" : ""
        return "\(sign)\(abs(scaled) / Int(scale))." + String(repeating: "0", count: digits - rest.count) + rest
    }

    /// `142000.4` is `142,000`.
    package static func grouped(_ value: Double) -> String {
        var digits = Array(String(Int(value.rounded())))
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: index)
            index -= 3
        }
        return String(digits)
    }

    /// `value` divided by `reference`.
    package static func ratio(_ value: Double?, _ reference: Double?) -> String {
        guard let value, let reference, reference > 0 else { return "–" }
        return fixed(value / reference, 2)
    }
}
