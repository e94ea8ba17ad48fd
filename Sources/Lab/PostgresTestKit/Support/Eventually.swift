/// Polls until a condition holds, so that a test needs no sleep of a guessed length.
///
/// - Throws: ``NeverHappened`` with `expected` if the condition does not hold in time.
package func eventually(
    _ expected: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws {
    guard try await Deadline(in: limit).wait(every: .milliseconds(2), until: condition) else {
        throw NeverHappened(description: "expected within \(limit): \(expected)")
    }
}

/// A condition that did not hold in time.
package struct NeverHappened: Error, CustomStringConvertible {
    package let description: String
}
