import DarumaService
import DispatchHTTP
import Glibc
import Logging

struct ServeCommand {
    static let description = Command(
        name: "serve",
        summary: "Serve / and /ping, with the database or without it.",
        discussion: """
            Every setting is a flag or an environment variable, named in brackets; flags win. The database may also be \
            given by libpq's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE …).
            """,
        options: Setting.allCases.map { setting in
            Option(
                name: setting.flag, valueName: setting.valueName,
                help: "\(setting.meaning) [\(setting.variable)] (default:\u{A0}\(setting.defaultText))")
        })

    private let flags: [Setting: String]

    /// - Parameter values: the options that were given.
    init(_ values: [String: String]) {
        flags = Dictionary(
            uniqueKeysWithValues: Setting.allCases.compactMap { setting in
                values[setting.flag].map { (setting, $0) }
            })
    }

    func run() async throws {
        let settings: ServiceSettings
        do throws(SettingError) {
            settings = try ServiceSettings(flags: flags) { getenv($0).map { String(cString: $0) } }
        } catch {
            throw CommandFailure.usage("\(error)")
        }
        let manager: SystemdEnvironment
        do throws(SystemdError) {
            manager = try SystemdEnvironment(processID: getpid()) { getenv($0).map { String(cString: $0) } }
        } catch {
            throw CommandFailure.usage("\(error)")
        }
        for name in SystemdEnvironment.variables { unsetenv(name) }
        // A log pipe that is closed must not end the service.
        signal(SIGPIPE, SIG_IGN)
        let sink = LogSink(format: settings.logFormat)
        defer { sink.flush(timeout: .milliseconds(200)) }
        let logger = Logger(label: "daruma") { label in
            LineLogHandler(label: label, format: settings.logFormat, level: settings.logLevel, sink: sink)
        }
        let descriptors = DescriptorLimit.raise()
        if descriptors < settings.mostDescriptors {
            logger.warning(
                "fewer descriptors are allowed than clients; the oldest idle ones will make room before",
                metadata: ["allowed": "\(descriptors)", "needed": "\(settings.mostDescriptors)"])
        }
        let accessLog =
            settings.accessLog == .off ? nil : LogSink(descriptor: STDOUT_FILENO, format: settings.logFormat)
        defer { accessLog?.flush(timeout: .milliseconds(200)) }
        let application = await Application(settings, logger: logger, accessLog: accessLog, manager: manager)
        let signals = TerminationSignals { number in
            logger.warning(
                "leaving at once: told a second time", metadata: ["signal": "\(TerminationSignals.name(of: number))"])
            sink.flush(timeout: .milliseconds(200))
            // exit(3) would run exit handlers, which may wait for other threads.
            _exit(128 + number)
        }
        defer { signals.release() }
        do throws(ListenError) {
            try await application.start()
        } catch {
            throw CommandFailure.unavailable("\(error)")
        }
        await signals.wait()
        let hardStop = HardStop(after: settings.drainDelay + settings.shutdownTimeout) {
            logger.critical("could not leave in time; ending all the same")
            sink.flush(timeout: .milliseconds(100))
            _exit(HardStop.exitStatus)
        }
        await application.leave()
        hardStop.cancel()
        logger.info("bye")
    }
}
