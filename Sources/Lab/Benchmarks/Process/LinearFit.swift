/// A line through points by least squares.
package struct LinearFit: Sendable {
    /// Per unit of time.
    package let slope: Double

    /// Nil for fewer than two different times.
    package init?(_ points: [(time: Double, value: Double)]) {
        let count = Double(points.count)
        guard points.count > 1 else { return nil }
        let meanTime = points.reduce(0) { $0 + $1.time } / count
        let meanValue = points.reduce(0) { $0 + $1.value } / count
        let spread = points.reduce(0) { $0 + ($1.time - meanTime) * ($1.time - meanTime) }
        guard spread > 0 else { return nil }
        slope = points.reduce(0) { $0 + ($1.time - meanTime) * ($1.value - meanValue) } / spread
    }
}
