/// What a service manager such as systemd tells the process that it starts, read from environment variables:
/// `sd_notify(3)`, `sd_watchdog_enabled(3)` and `sd_listen_fds(3)`, without the library of that name.
package struct SystemdEnvironment: Sendable, Equatable {
    /// A listening socket that the manager has opened for this process.
    package struct Socket: Sendable, Equatable {
        package let descriptor: Int32
        /// `FileDescriptorName=` of the socket unit; `unknown` when the manager gives none.
        package let name: String
    }

    /// Where the manager wants to be told that the service is ready, how it is, and that it stops.
    package var notifyAddress: NotifyAddress?
    /// The manager ends a service of which it has not heard for so long.
    package var watchdogTimeout: Duration?
    /// The sockets, in the order of the socket unit.
    package var sockets: [Socket] = []

    /// The variables, which are for this process alone: it is to remove them from its environment, or a child of its
    /// would take the messages for its own.
    package static let variables = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "LISTEN_PIDFDID",
    ]

    /// The first descriptor that is handed over (`SD_LISTEN_FDS_START`).
    private static let firstDescriptor: Int32 = 3
    /// More sockets than this are a mistake.
    private static let mostSockets = 64

    /// Started by no manager, or by one that says nothing.
    package init() {}

    /// What the variables say to the process `processID`. Those for another process are not meant and not read.
    package init(processID: Int32, variable: (String) -> String?) throws(SystemdError) {
        func text(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }
        func isForUs(_ name: String) -> Bool { text(name) == "\(processID)" }

        if let address = text("NOTIFY_SOCKET") { notifyAddress = try NotifyAddress(address) }
        if let limit = text("WATCHDOG_USEC"), text("WATCHDOG_PID") == nil || isForUs("WATCHDOG_PID") {
            guard let microseconds = Int64(limit), microseconds > 0 else {
                throw SystemdError(variable: "WATCHDOG_USEC", problem: "'\(limit)' is not a number of microseconds")
            }
            watchdogTimeout = .microseconds(microseconds)
        }
        if let number = text("LISTEN_FDS"), isForUs("LISTEN_PID") {
            guard let count = Int(number), (0...Self.mostSockets).contains(count) else {
                throw SystemdError(
                    variable: "LISTEN_FDS", problem: "'\(number)' is not a number from 0 to \(Self.mostSockets)")
            }
            let names = (variable("LISTEN_FDNAMES") ?? "").split(separator: ":", omittingEmptySubsequences: false)
            sockets = (0..<count).map { index in
                Socket(
                    descriptor: Self.firstDescriptor + Int32(index),
                    name: names.count == count ? String(names[index]) : "unknown")
            }
        }
    }
}

/// A variable of the service manager's that cannot be used, in one line for the reader.
package struct SystemdError: Error, Sendable, Equatable, CustomStringConvertible {
    package let variable: String
    package let problem: String

    package var description: String { "\(variable): \(problem)" }
}
