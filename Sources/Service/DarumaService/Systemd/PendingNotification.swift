/// The assignments queued for systemd. Only the latest value of a variable counts, which bounds the queue.
package struct PendingNotification: Sendable, Equatable {
    /// A variable of `sd_notify(3)`.
    package enum Variable: String, Sendable, CaseIterable {
        case ready = "READY"
        case stopping = "STOPPING"
        case status = "STATUS"
        case watchdog = "WATCHDOG"
    }

    private var values: [Variable: String] = [:]

    package init() {}

    package var isEmpty: Bool { values.isEmpty }

    /// Sets a value. Replaces line breaks, which would begin another assignment.
    package mutating func put(_ variable: Variable, _ value: String = "1") {
        values[variable] = String(value.map { $0.isNewline ? " " : $0 })
    }

    /// The message with all assignments.
    package var message: String {
        Variable.allCases.compactMap { variable in values[variable].map { "\(variable.rawValue)=\($0)" } }
            .joined(separator: "\n")
    }

    package mutating func clear() { values.removeAll() }
}
