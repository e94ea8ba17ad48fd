import DispatchLoop
import Glibc
import Subprocess
import SystemPackage

/// A service under observation: our `daruma`, or any command that serves HTTP. Its output goes to a file. A watchdog
/// kills it when this process ends.
package final class ServiceProcess: Sendable {
    /// How the process ended.
    package enum Exit: Sendable, Equatable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        package var description: String {
            switch self {
            case .code(let code): "exit \(code)"
            case .signal(let number): "signal \(number)"
            }
        }
    }

    package let id: Int32
    /// The file that receives standard output and standard error.
    package let logPath: String
    private let command: [String]
    private let exit: ExitBox
    private let watchdog: CleanupWatchdog
    /// Nil if the caller named a log file.
    private let folder: TemporaryFolder?

    private init(
        id: Int32, logPath: String, command: [String], exit: ExitBox, watchdog: CleanupWatchdog,
        folder: TemporaryFolder?
    ) {
        self.id = id
        self.logPath = logPath
        self.command = command
        self.exit = exit
        self.watchdog = watchdog
        self.folder = folder
    }

    /// Starts `command`. Nil values in `environment` remove a variable. Does not wait until the service listens.
    ///
    /// - Parameter input: a descriptor that becomes the process's standard input. The caller keeps and closes it.
    package static func start(
        _ command: [String], environment: [String: String?] = [:], logPath: String? = nil, input: Int32? = nil
    ) async throws -> ServiceProcess {
        guard let executable = command.first else { throw SandboxError(.service, "the command is empty") }
        let folder = logPath == nil ? try TemporaryFolder() : nil
        let logPath = logPath ?? "\(folder?.path ?? "")/service.log"
        let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard log >= 0 else {
            throw SandboxError(.service, "cannot write \(logPath): \(SandboxError.systemMessage)")
        }
        defer { close(log) }
        var options = PlatformOptions()
        // A separate session: Ctrl-C at the terminal reaches only the lab, which stops the service in order.
        options.createSession = true
        let configuration = Configuration(
            executable: executable.contains("/") ? .path(FilePath(executable)) : .name(executable),
            arguments: Arguments(Array(command.dropFirst())),
            environment: .inherit.updating(
                Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1) })),
            platformOptions: options)
        let exit = ExitBox()
        let descriptor = FileDescriptor(rawValue: log)
        // Subprocess waits for the process to end; a separate task lets this function return before that.
        let id: Int32 = try await withCheckedThrowingContinuation { continuation in
            let started = Locked<CheckedContinuation<Int32, any Error>?>(continuation)
            Task {
                do {
                    let null = input == nil ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1
                    defer { if null >= 0 { close(null) } }
                    let result = try await Subprocess.run(
                        configuration,
                        input: .fileDescriptor(
                            FileDescriptor(rawValue: input ?? null), closeAfterSpawningProcess: false),
                        output: .fileDescriptor(descriptor, closeAfterSpawningProcess: false),
                        error: .fileDescriptor(descriptor, closeAfterSpawningProcess: false)
                    ) { execution in
                        started.withLock { $0.take() }?.resume(returning: execution.processIdentifier.value)
                    }
                    await exit.set(Exit(result.terminationStatus))
                } catch {
                    started.withLock { $0.take() }?
                        .resume(throwing: SandboxError(.service, "cannot start \(executable): \(error)"))
                }
            }
        }
        let startTime = ProcessTable.entry(id)?.startTime ?? 0
        // The start time distinguishes the process from a later one with the same id.
        let script = """
            [ "$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20)" = "$2" ] && kill -KILL "$1"
            [ -z "$3" ] || rm -rf -- "$3"
            """
        let watchdog = try await CleanupWatchdog(
            script: script, arguments: ["\(id)", "\(startTime)", folder?.path ?? ""])
        return ServiceProcess(
            id: id, logPath: logPath, command: command, exit: exit, watchdog: watchdog, folder: folder)
    }

    /// Runs our service on a free port of the loopback address while `body` runs, and stops it.
    ///
    /// Throws what `body` throws, and a `SandboxError` if the service does not start or does not exit with 0.
    package static func withDaruma<Result>(
        _ arguments: [String] = [], databaseURL: String, binary: String? = nil,
        _ body: (ServiceProcess, ServiceAddress) async throws -> Result
    ) async throws -> Result {
        let service = try await start(
            [try binary ?? darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0"] + arguments,
            environment: ["DATABASE_URL": databaseURL, "PORT": nil, "HOST": nil])
        return try await service.whileRunning {
            try await body(service, ServiceAddress(port: try await service.waitUntilListening()))
        }
    }

    /// Runs `body`, then stops the process, even after an error or a cancellation. Throws if it does not exit with 0,
    /// unless `exitsWithZero` is false.
    package func whileRunning<Result>(
        exitsWithZero: Bool = true, _ body: () async throws -> Result
    ) async throws -> Result {
        let result: Result
        do {
            result = try await body()
        } catch {
            // A separate task, because cancellation must not keep the process alive.
            _ = await Task { try? await self.stop() }.value
            throw error
        }
        let exit = try await Task { try await self.stop() }.value
        guard exit == .code(0) || !exitsWithZero else {
            throw SandboxError(.service, "\(name) ended with \(exit)", logTail: logTail)
        }
        return result
    }

    /// Our service: `DARUMA_BINARY`, or `daruma` beside the running executable, in tests in the same build folder.
    package static func darumaBinary() throws -> String {
        if let named = getenv("DARUMA_BINARY") { return String(cString: named) }
        return try ownBinary("daruma")
    }

    /// A program of this package, beside the running executable.
    package static func ownBinary(_ name: String) throws -> String {
        guard let own = Files.canonical("/proc/self/exe") else {
            throw SandboxError(.service, "cannot find the path of this program")
        }
        let path = "\(own.droppingLastComponent)/\(name)"
        guard Files.isExecutable(path) else {
            throw SandboxError(.service, "there is no \(name) beside \(own): swift build makes it")
        }
        return path
    }

    /// Waits until the log names the port that the service listens on, and returns the port.
    package func waitUntilListening(within limit: Duration = .seconds(30)) async throws -> UInt16 {
        var port: UInt16?
        let isListening = try await Deadline(in: limit).wait(every: .milliseconds(2)) {
            port = Self.listeningPort(in: self.log)
            if port == nil, let exit = await self.exit.value {
                throw SandboxError(.service, "\(self.name) ended (\(exit)) instead of listening", logTail: self.logTail)
            }
            return port != nil
        }
        guard isListening, let port else {
            throw SandboxError(.service, "\(name) did not listen within \(limit)", logTail: logTail)
        }
        return port
    }

    /// Waits until something listens on `port`, for services that do not log their port.
    package func waitUntilListening(on port: UInt16, within limit: Duration = .seconds(30)) async throws {
        let isListening = try await Deadline(in: limit).wait(every: .milliseconds(10)) {
            if let exit = await self.exit.value {
                throw SandboxError(.service, "\(self.name) ended (\(exit)) instead of listening", logTail: self.logTail)
            }
            return await HTTPProbe.get("/", port: port, limit: .milliseconds(500)).status != nil
        }
        guard isListening else {
            throw SandboxError(.service, "\(name) did not listen on \(port) within \(limit)", logTail: logTail)
        }
    }

    /// Finds `… listening on http://127.0.0.1:43210 …` in a line of text or JSON.
    static func listeningPort(in log: String) -> UInt16? {
        guard let words = log.firstRange(of: "listening on http:") else { return nil }
        let authority = log[words.upperBound...].drop { $0 == "/" || $0 == "\\" }
            .prefix { !$0.isWhitespace && $0 != "\"" && $0 != "/" }
        guard let colon = authority.lastIndex(of: ":") else { return nil }
        let digits = authority[authority.index(after: colon)...].prefix(while: \.isNumber)
        // The number may be cut off while the line is being written.
        guard digits.endIndex != log.endIndex else { return nil }
        return UInt16(digits)
    }

    package func signal(_ number: Int32) { if isRunning { kill(id, number) } }

    package var isRunning: Bool { ProcessTable.entry(id).map { !$0.hasEnded } ?? false }
    package var usage: ProcessUsage? { ProcessUsage(of: id) }
    package var log: String { Files.read(logPath) ?? "" }
    package var logTail: String? { Files.tail(logPath) }
    private var name: String { command.first ?? "the service" }

    /// Waits for the process to end. Throws if it does not end in time.
    package func waitForExit(within limit: Duration = .seconds(30)) async throws -> Exit {
        var ended: Exit?
        let hasEnded = try await Deadline(in: limit).wait(every: .milliseconds(2)) {
            ended = await self.exit.value
            return ended != nil
        }
        guard hasEnded, let ended else {
            throw SandboxError(.service, "\(name) (pid \(id)) did not end within \(limit)", logTail: logTail)
        }
        return ended
    }

    /// Sends SIGTERM, and SIGKILL if the process outlives `limit`.
    @discardableResult
    package func stop(within limit: Duration = .seconds(10)) async throws -> Exit {
        signal(SIGTERM)
        signal(SIGCONT)
        if let exit = try? await waitForExit(within: limit) { return exit }
        signal(SIGKILL)
        return try await waitForExit(within: limit)
    }
}

/// How the process ended; nil while it runs.
private actor ExitBox {
    private(set) var value: ServiceProcess.Exit?

    func set(_ exit: ServiceProcess.Exit) { value = exit }
}

extension ServiceProcess.Exit {
    init(_ status: TerminationStatus) {
        switch status {
        case .exited(let code): self = .code(code)
        case .signaled(let number): self = .signal(number)
        }
    }
}
