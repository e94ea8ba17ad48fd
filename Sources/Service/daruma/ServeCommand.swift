import DarumaService
import Glibc
import Logging

struct ServeCommand {
    static let description = Command(
        name: "serve",
        summary: "Serve / and /ping, with the database or without it.",
        discussion: """
            Every setting is a flag or an environment variable, in brackets. Flags win. libpq's variables (PGHOST, PGPORT, \
            PGUSER, PGPASSWORD, PGDATABASE …) can also describe the database.
            """,
        options: Setting.allCases.map { setting in
            Option(
                name: setting.flag, valueName: setting.valueName,
                help: "\(setting.meaning) [\(setting.variable)] (default:\u{A0}\(setting.defaultText))")
        })

    private let flags: [Setting: String]

    /// - Parameter values: the options on the command line.
    init(_ values: [String: String]) {
        flags = Dictionary(
            uniqueKeysWithValues: Setting.allCases.compactMap { setting in
                values[setting.flag].map { (setting, $0) }
            })
    }

    func run() async throws {
        let settings = try ServiceSettings(flags: flags) { getenv($0).map { String(cString: $0) } }
        let systemd = try SystemdEnvironment(processID: getpid()) { getenv($0).map { String(cString: $0) } }
        for name in SystemdEnvironment.variables { unsetenv(name) }
        // A closed log pipe must not end the service.
        signal(SIGPIPE, SIG_IGN)
        let sink = LogSink(format: settings.logFormat)
        defer { sink.flush(timeout: .milliseconds(200)) }
        let logger = Logger(label: "daruma") { label in
            LineLogHandler(label: label, format: settings.logFormat, level: settings.logLevel, sink: sink)
        }
        let descriptors = DescriptorLimit.raise()
        if descriptors < settings.mostDescriptors {
            logger.warning(
                """
                RLIMIT_NOFILE (\(descriptors)) is below the connection limit (\(settings.mostDescriptors)); idle clients \
                will be evicted earlier
                """, metadata: ["allowed": "\(descriptors)", "needed": "\(settings.mostDescriptors)"])
        }
        let accessLog =
            settings.accessLog == .off ? nil : LogSink(descriptor: STDOUT_FILENO, format: settings.logFormat)
        defer { accessLog?.flush(timeout: .milliseconds(200)) }
        let application = await Application(settings, logger: logger, accessLog: accessLog, systemd: systemd)
        let signals = TerminationSignals { number in
            logger.warning(
                "second signal: stopping at once", metadata: ["signal": "\(TerminationSignals.name(of: number))"])
            sink.flush(timeout: .milliseconds(200))
            // exit(3) runs exit handlers, which may wait for other threads.
            _exit(128 + number)
        }
        defer { signals.release() }
        try await application.start()
        await signals.wait()
        let hardStop = HardStop(after: settings.drainDelay + settings.shutdownTimeout) {
            logger.critical("graceful shutdown timed out; exiting")
            sink.flush(timeout: .milliseconds(100))
            _exit(HardStop.exitStatus)
        }
        await application.shutDown()
        hardStop.cancel()
        logger.info("stopped")
    }
}
