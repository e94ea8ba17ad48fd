import ArgumentParser
import DarumaService
import DispatchHTTP
import Glibc
import Logging
import ServiceManager
import ServiceLifecycle
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve / and /ping, with the database or without it.",
        discussion: """
            Every setting is a flag or an environment variable, named in brackets; flags win. The database may also be \
            given by libpq's own variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE …).
            """)

    @OptionGroup var options: SettingOptions

    func run() async throws {
        let settings: ServiceSettings
        do throws(SettingProblem) {
            settings = try ServiceSettings(flags: options.values) { getenv($0).map { String(cString: $0) } }
        } catch {
            throw CommandFailure.usage("\(error)")
        }
        let manager: ManagerEnvironment
        do throws(ManagerProblem) {
            manager = try ManagerEnvironment(processID: getpid()) { getenv($0).map { String(cString: $0) } }
        } catch {
            throw CommandFailure.usage("\(error)")
        }
        for name in ManagerEnvironment.variables { unsetenv(name) }
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
        // Told to leave, the group stops its services from the last to the first: answers first, then sessions.
        var configuration = ServiceGroupConfiguration(
            services: [PoolService(application: application), HTTPService(application: application)],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger.quieter)
        configuration.maximumGracefulShutdownDuration = settings.drainDelay + settings.shutdownTimeout
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let error as ListenError {
            throw CommandFailure.unavailable("\(error)")
        }
        logger.info("bye")
    }
}

/// Listens, and answers what is in flight when told to leave.
private struct HTTPService: Service {
    let application: Application

    func run() async throws {
        try await application.start()
        try? await gracefulShutdown()
        await application.leave()
    }
}

/// Outlives the HTTP service, so that requests in flight keep their connections.
private struct PoolService: Service {
    let application: Application

    func run() async throws {
        try? await gracefulShutdown()
        await application.closePool()
    }
}

extension Logger {
    /// For parts whose everyday news nobody needs.
    fileprivate var quieter: Logger {
        var copy = self
        copy.logLevel = max(logLevel, .warning)
        return copy
    }
}
