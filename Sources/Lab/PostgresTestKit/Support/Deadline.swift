/// A point in monotonic time by which something must have happened.
package struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    package init(in duration: Duration) { end = ContinuousClock.now + duration }

    package var remaining: Duration { max(.zero, end - ContinuousClock.now) }
    package var hasPassed: Bool { ContinuousClock.now >= end }

    /// Polls until `condition` holds. False when the deadline passed first; the condition is always
    /// asked at least once.
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
    /// Milliseconds, fractions included: what reports and assertions are written in.
    package var milliseconds: Double {
        Double(components.seconds) * 1e3 + Double(components.attoseconds) / 1e15
    }
}
