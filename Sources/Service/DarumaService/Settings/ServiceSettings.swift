package import DispatchHTTP
package import DispatchPostgres
package import Logging
package import PostgresSession

/// The settings of the service, with their defaults.
package struct ServiceSettings: Sendable {
    package var http = ServerConfiguration()
    /// The separate port for `/metrics` and `/status`. `nil`: the main port serves them.
    package var adminPort: UInt16?
    /// The admin port's address. By default other machines cannot reach it.
    package var adminHost = "localhost"
    package var database = ConnectionConfiguration("")
    package var pool = PoolSettings()
    /// The deadline of `/ping`, including the wait for a connection.
    package var pingTimeout = Duration.seconds(1)
    /// The status of a failed `/ping`: 400 as in the original service, or 503.
    package var pingFailureStatus = 400
    /// Whether readiness depends on the database.
    package var readyRequiresDatabase = false
    /// How late the loop's heartbeat may be.
    package var livenessLimit = Duration.seconds(5)
    /// How long the service serves requests after SIGTERM while readiness fails.
    package var drainDelay = Duration.zero
    /// How long the shutdown may take after the drain delay.
    package var shutdownTimeout = Duration.seconds(5)
    /// The maximum number of `/events` streams.
    package var statusMaxViewers = 500
    package var keepsMetrics = true
    package var logLevel = Logger.Level.info
    package var logFormat = LineLogHandler.Format.text
    package var accessLog = AccessLog.Scope.off
    /// Warnings about the settings, for the log.
    package private(set) var warnings: [String] = []

    package init() {}

    /// The maximum number of descriptors: clients', the database's, and a few of its own.
    package var mostDescriptors: Int {
        // The admin server has the same limits.
        let servers = adminPort == nil ? 1 : 2
        return servers * (http.maxConnections + http.reservedConnections) + pool.maximum + 32
    }

    /// Reads the settings: a flag wins over `DARUMA_<NAME>`, which wins over the bare variable.
    ///
    /// - Parameters:
    ///   - flags: the values on the command line.
    ///   - environment: returns the value of an environment variable.
    package init(
        flags: [Setting: String], environment: (String) -> String?
    ) throws(SettingError) {
        self.init()
        for setting in Setting.allCases {
            if let text = flags[setting] {
                try apply(setting, text, source: "--\(setting.flag)")
            } else if let value = setting.value(in: environment) {
                try apply(setting, value.text, source: value.variable)
                if value.isDeprecated {
                    warnings.append("\(value.variable) is deprecated; set \(setting.prefixedVariable)")
                }
            }
        }
        if let problem = pool.problem { throw SettingError(source: "pool settings", problem: problem) }
    }

    private mutating func apply(_ setting: Setting, _ text: String, source: String) throws(SettingError) {
        if let problem = setting.apply(text, to: &self) { throw SettingError(source: source, problem: problem) }
    }
}

/// A setting with an invalid value, described in one line.
package struct SettingError: Error, CustomStringConvertible {
    /// The flag or environment variable.
    package let source: String
    package let problem: String

    package var description: String { "\(source): \(problem)" }
}
