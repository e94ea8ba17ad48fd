/// Waits until a condition holds, looking again every few milliseconds. For tests, which must neither sleep and hope nor
/// wait for ever.
///
/// - Throws: ``NeverHappened`` with `expected` when it does not hold in time.
package func eventually(
    _ expected: String, within limit: Duration = .seconds(30), _ condition: () async throws -> Bool
) async throws {
    guard try await Deadline(in: limit).wait(every: .milliseconds(2), until: condition) else {
        throw NeverHappened(description: "expected within \(limit): \(expected)")
    }
}

/// What a test waited for in vain.
package struct NeverHappened: Error, CustomStringConvertible {
    package let description: String
}
