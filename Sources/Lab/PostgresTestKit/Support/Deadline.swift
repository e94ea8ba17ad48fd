/// A point in monotonic time that bounds a wait.
package struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    package init(in duration: Duration) { end = ContinuousClock.now + duration }

    package var remaining: Duration { max(.zero, end - ContinuousClock.now) }
    package var hasPassed: Bool { ContinuousClock.now >= end }

    /// Polls until `condition` holds, at least once. False if the deadline passed first.
    package func wait(
        every interval: Duration = .milliseconds(5), until condition: () async throws -> Bool
    ) async throws -> Bool {
        while true {
            if try await condition() { return true }
            if hasPassed { return false }
            try await Task.sleep(for: min(interval, remaining))
        }
    }
}

extension Duration {
    /// Milliseconds with their fraction, the unit of reports.
    package var fractionalMilliseconds: Double {
        Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15
    }
}
