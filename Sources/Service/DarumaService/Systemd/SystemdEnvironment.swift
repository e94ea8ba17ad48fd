/// The environment variables of systemd: `sd_notify(3)`, `sd_watchdog_enabled(3)` and `sd_listen_fds(3)`, without
/// libsystemd.
package struct SystemdEnvironment: Sendable, Equatable {
    /// A listening socket that systemd passes to this process.
    package struct Socket: Sendable, Equatable {
        package let descriptor: Int32
        /// `FileDescriptorName=` of the socket unit, or `unknown`.
        package let name: String
    }

    /// The address for notifications.
    package var notifyAddress: NotifyAddress?
    /// systemd restarts a service that sends no heartbeat for this long.
    package var watchdogTimeout: Duration?
    /// The sockets, in the order of the socket unit.
    package var sockets: [Socket] = []

    /// The variables. The process removes them from its environment, so that no child uses them.
    package static let variables = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "LISTEN_PIDFDID",
    ]

    /// The first passed descriptor (`SD_LISTEN_FDS_START`).
    private static let firstDescriptor: Int32 = 3
    /// An upper bound, to detect a wrong value.
    private static let mostSockets = 64

    /// The environment without systemd.
    package init() {}

    /// Reads the variables for the process `processID`. Ignores variables for any other process.
    package init(processID: Int32, variable: (String) -> String?) throws(SettingError) {
        func text(_ name: String) -> String? { variable(name).flatMap { $0.isEmpty ? nil : $0 } }
        func isForUs(_ name: String) -> Bool { text(name) == "\(processID)" }

        if let address = text("NOTIFY_SOCKET") { notifyAddress = try NotifyAddress(address) }
        if let limit = text("WATCHDOG_USEC"), text("WATCHDOG_PID") == nil || isForUs("WATCHDOG_PID") {
            guard let microseconds = Int64(limit), microseconds > 0 else {
                throw SettingError(source: "WATCHDOG_USEC", problem: "'\(limit)' is not a number of microseconds")
            }
            watchdogTimeout = .microseconds(microseconds)
        }
        if let number = text("LISTEN_FDS"), isForUs("LISTEN_PID") {
            guard let count = Int(number), (0...Self.mostSockets).contains(count) else {
                throw SettingError(
                    source: "LISTEN_FDS", problem: "'\(number)' is not a number from 0 to \(Self.mostSockets)")
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
