package import DispatchHTTP
package import DispatchPostgres
package import Logging
package import PostgresSession

/// All that can be set about the service, with its defaults.
package struct ServiceSettings: Sendable {
    package var http = ServerConfiguration()
    /// Where operators are answered; `nil`: where everybody is.
    package var adminPort: UInt16?
    /// The address for that port: nobody from outside unless it is set.
    package var adminHost = "localhost"
    package var database = ConnectionConfiguration("")
    package var pool = PoolSettings()
    /// How long `/ping` may take, the wait for a connection included.
    package var pingTimeout = Duration.seconds(1)
    /// The status with which `/ping` fails: 400 as in the original, or 503.
    package var pingFailureStatus = 400
    /// Whether readiness depends on the database.
    package var readyRequiresDatabase = false
    /// How late the loop's heartbeat may be.
    package var livenessLimit = Duration.seconds(5)
    /// For how long requests are served as before while readiness fails already, before leaving begins.
    package var drainDelay = Duration.zero
    /// How long leaving may take.
    package var shutdownTimeout = Duration.seconds(5)
    /// How many may watch `/events` at a time.
    package var statusMaxViewers = 500
    /// Whether there are metrics.
    package var keepsMetrics = true
    package var logLevel = Logger.Level.info
    package var logFormat = LineLogHandler.Format.text
    package var accessLog = AccessLog.Setting.off

    package init() {}

    /// How many descriptors the service uses at most: clients', the database's, and a handful of its own.
    package var mostDescriptors: Int {
        // The operators' server has room for as many clients as the other.
        let servers = adminPort == nil ? 1 : 2
        return servers * (http.maxConnections + http.reservedConnections) + pool.maximum + 32
    }

    /// The settings that flags and environment give; flags win.
    ///
    /// - Parameters:
    ///   - flags: the values given on the command line, by flag.
    ///   - environment: the values of environment variables.
    package init(
        flags: [Setting: String], environment: (String) -> String?
    ) throws(SettingError) {
        self.init()
        for setting in Setting.allCases {
            if let text = flags[setting] {
                try apply(setting, text, source: "--\(setting.flag)")
            } else if let text = environment(setting.variable), !text.isEmpty {
                try apply(setting, text, source: setting.variable)
            }
        }
        if let problem = pool.problem { throw SettingError(source: "pool settings", problem: problem) }
    }

    private mutating func apply(_ setting: Setting, _ text: String, source: String) throws(SettingError) {
        if let problem = setting.apply(text, to: &self) { throw SettingError(source: source, problem: problem) }
    }
}

/// A setting that cannot be used: which, and what is wrong with it, in one line.
package struct SettingError: Error, CustomStringConvertible {
    /// The flag or the environment variable it came from.
    package let source: String
    package let problem: String

    package var description: String { "\(source): \(problem)" }
}
