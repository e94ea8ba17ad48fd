/// What a service manager has not been told yet. Of several values of one variable the latest counts, so that it never
/// holds more than a line for each.
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

    /// Notes a value. A line break in it would begin another assignment.
    package mutating func put(_ variable: Variable, _ value: String = "1") {
        values[variable] = String(value.map { $0.isNewline ? " " : $0 })
    }

    /// The message that tells it all.
    package var message: String {
        Variable.allCases.compactMap { variable in values[variable].map { "\(variable.rawValue)=\($0)" } }
            .joined(separator: "\n")
    }

    /// It has been told, or there is nobody to tell.
    package mutating func clear() { values.removeAll() }
}
