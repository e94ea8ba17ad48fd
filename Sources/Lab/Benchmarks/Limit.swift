package import FaultLab

/// A bound on a figure.
package enum Limit: Sendable {
    case atMost(Double)
    case atLeast(Double)

    /// Compares a figure with the limit. A missing figure breaks it.
    package func check(_ name: String, _ value: Double?, digits: Int = 2, unit: String = "") -> Check {
        let (isKept, word, bound) =
            switch self {
            case .atMost(let bound): (value.map { $0 <= bound }, "at most", bound)
            case .atLeast(let bound): (value.map { $0 >= bound }, "at least", bound)
            }
        let text = "\(name): \(Figure.fixed(value, digits))\(unit) (\(word) \(Figure.fixed(bound, digits)))"
        return Check(isKept: isKept ?? false, text: text)
    }
}
