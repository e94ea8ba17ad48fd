import Glibc

/// `pg_ctl`'s modes of stopping.
public enum StopMode: String, Sendable, CaseIterable {
    /// Waits until all sessions have ended.
    case smart
    /// Terminates all sessions.
    case fast
    /// Stops without a checkpoint; the next start recovers.
    case immediate

    var signal: Int32 {
        switch self {
        case .smart: SIGTERM
        case .fast: SIGINT
        case .immediate: SIGQUIT
        }
    }
}

/// The state of a sandbox's server, with the process id of its postmaster.
public enum ServerStatus: Equatable, Sendable, CustomStringConvertible {
    /// Not running.
    case stopped
    /// Running, and not taking logins.
    case busy(pid: Int32)
    /// Running, and taking logins.
    case accepting(pid: Int32)
    /// Stopped by SIGSTOP. The kernel still completes TCP handshakes for it.
    case frozen(pid: Int32)

    /// The state in words.
    public var description: String {
        switch self {
        case .stopped: "stopped"
        case .busy(let pid): "starting or stopping (pid \(pid))"
        case .accepting(let pid): "accepting connections (pid \(pid))"
        case .frozen(let pid): "frozen (pid \(pid))"
        }
    }
}

extension PostgresSandbox {
    /// The running postmaster. postmaster.pid names it; its arguments must name this folder, because the kernel reuses
    /// ids.
    package var server: ProcessTable.Entry? {
        guard let line = Files.read("\(dataFolder)/postmaster.pid")?.split(separator: "\n").first,
            let id = pid_t(line), let entry = ProcessTable.entry(id), !entry.hasEnded,
            ProcessTable.arguments(of: id).contains(dataFolder)
        else { return nil }
        return entry
    }

    /// The server's state now.
    public func status() async -> ServerStatus {
        guard let server else { return .stopped }
        if server.isStopped { return .frozen(pid: server.id) }
        return await login(within: .seconds(1)).isReady ? .accepting(pid: server.id) : .busy(pid: server.id)
    }

    /// Starts the server and, by default, waits until logins work. Returns how long that took.
    ///
    /// - Throws: ``SandboxError``, quoting the log, if the server ends instead or the deadline passes, or if it is frozen.
    @discardableResult
    public func start(waitForLogins: Bool = true) async throws -> Duration {
        let clock = ContinuousClock()
        let begin = clock.now
        let deadline = Deadline(in: configuration.deadline)
        if let server, server.isStopped {
            throw SandboxError(.notRunning, "the server (pid \(server.id)) is frozen: thaw it")
        }
        if server == nil {
            let logSize = Files.size(logPath)
            // Right after SIGKILL, or while another process starts the server, an attempt may come too early.
            while try await !attemptToStart(from: logSize, waitForLogins, deadline) {
                try await Task.sleep(for: .milliseconds(20))
            }
        } else if waitForLogins {
            try await self.waitForLogins(deadline)
        }
        return clock.now - begin
    }

    /// Tries to start once. False if another attempt may succeed.
    private func attemptToStart(from logSize: Int, _ wait: Bool, _ deadline: Deadline) async throws -> Bool {
        let attempt = try await spawn()
        let isUp = try await deadline.wait(every: .milliseconds(4)) {
            if ProcessTable.hasEnded(attempt) { return true }
            guard self.server != nil else { return false }
            return wait ? await self.login(within: .milliseconds(200)).isReady : true
        }
        if isUp && !ProcessTable.hasEnded(attempt) { return true }
        guard ProcessTable.hasEnded(attempt) else { throw timeout("start") }
        if server != nil {
            // Another process or task started it first.
            if wait { try await waitForLogins(deadline) }
            return true
        }
        let log = Files.read(logPath, from: logSize) ?? ""
        let isPassing = ["shared memory block", "lock file"].contains { log.contains($0) }
        if isPassing && !deadline.hasPassed { return false }
        throw SandboxError(
            .serverEnded, "PostgreSQL ended instead of starting", logTail: Files.tail(logPath, from: logSize))
    }

    /// Starts a postmaster in its own session, and not as our child, because it must outlive a command line tool.
    private func spawn() async throws -> ProcessTable.Entry {
        removeLocksOfDeadServer()
        if socketFolder != folder && !Files.exists(socketFolder) {
            try Files.makeFolder(socketFolder, mode: 0o700)
            try Files.give(socketFolder, to: account)
        }
        // With autogroups (sched(7)) the kernel weighs sessions, so the group needs the niceness too.
        let script = """
            umask 077; [ "$4" = 0 ] || (echo "$4" >/proc/self/autogroup) 2>/dev/null
            nice -n "$4" "$1" -D "$2" >>"$3" 2>&1 </dev/null & echo $!
            """
        let output = try await Command(
            executable: "/bin/sh",
            arguments: [
                "-c", script, "sh", binaries.path("postgres"), dataFolder, logPath, "\(configuration.niceness)",
            ], account: account, folder: folder
        ).run()
        guard let id = pid_t(output.filter { !$0.isWhitespace }) else {
            throw SandboxError(.commandFailed, "the shell did not print the id of the server's process")
        }
        return ProcessTable.entry(id) ?? ProcessTable.Entry(id: id, state: "X", parent: 0, startTime: 0)
    }

    /// Deletes the lock files of a killed server. PostgreSQL ignores locks of a process that no longer exists, but
    /// mistakes a zombie for a running server, and in many containers init never reaps.
    private func removeLocksOfDeadServer() {
        guard let line = Files.read("\(dataFolder)/postmaster.pid")?.split(separator: "\n").first,
            let id = pid_t(line), let entry = ProcessTable.entry(id), entry.hasEnded
        else { return }
        unlink("\(dataFolder)/postmaster.pid")
        unlink("\(socketFolder)/.s.PGSQL.\(port).lock")
    }

    /// Stops the server, if it runs, and waits for its end. Returns how long that took. Thaws a frozen server first,
    /// because it would not handle the signal.
    @discardableResult
    public func stop(_ mode: StopMode = .fast, wait: Bool = true) async throws -> Duration {
        let clock = ContinuousClock()
        let begin = clock.now
        guard let server else { return .zero }
        if server.isStopped { try await thaw() }
        Glibc.kill(server.id, mode.signal)
        if wait { try await waitForEnd(of: [server], "stop (\(mode.rawValue))") }
        return clock.now - begin
    }

    /// Stops in mode `fast`, and starts. Returns how long that took.
    @discardableResult
    public func restart() async throws -> Duration {
        let stopped = try await stop(.fast)
        return stopped + (try await start())
    }

    /// Sends SIGKILL to the postmaster and its children, as a power failure would end them, and waits for their end.
    public func kill() async throws {
        guard let server else { return }
        // A frozen postmaster forks no child between listing and killing.
        Glibc.kill(server.id, SIGSTOP)
        let deadline = Deadline(in: configuration.deadline)
        _ = try await deadline.wait(every: .milliseconds(1)) { ProcessTable.entry(server.id)?.isStopped ?? true }
        let children = ProcessTable.children(of: server.id)
        for process in children + [server] { Glibc.kill(process.id, SIGKILL) }
        try await waitForEnd(of: children + [server], "kill -9")
    }

    /// Sends SIGSTOP to the postmaster and, by default, its children: sessions hang, and the kernel accepts new
    /// connections that get no reply. The children are background processes as well, such as the checkpointer.
    public func freeze(onlyPostmaster: Bool = false) async throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to freeze") }
        Glibc.kill(server.id, SIGSTOP)
        let deadline = Deadline(in: configuration.deadline)
        let isFrozen = try await deadline.wait(every: .milliseconds(1)) {
            guard ProcessTable.entry(server.id)?.isStopped ?? true else { return false }
            if onlyPostmaster { return true }
            let running = ProcessTable.children(of: server.id).filter { !$0.isStopped && !$0.hasEnded }
            for child in running { Glibc.kill(child.id, SIGSTOP) }
            return running.isEmpty
        }
        guard isFrozen else { throw timeout("freeze") }
    }

    /// Sends SIGCONT to the server's processes, which go on where they were.
    public func thaw() async throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to thaw") }
        for child in ProcessTable.children(of: server.id) { Glibc.kill(child.id, SIGCONT) }
        Glibc.kill(server.id, SIGCONT)
        let deadline = Deadline(in: configuration.deadline)
        let isThawed = try await deadline.wait(every: .milliseconds(1)) {
            !(ProcessTable.entry(server.id)?.isStopped ?? false)
        }
        guard isThawed else { throw timeout("thaw") }
    }

    /// Reloads the settings, by SIGHUP.
    package func reload() throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to reload") }
        Glibc.kill(server.id, SIGHUP)
    }

    /// Waits until logins work. A database in recovery does not count.
    package func waitForLogins(_ deadline: Deadline? = nil) async throws {
        let isReady = try await (deadline ?? Deadline(in: configuration.deadline)).wait(every: .milliseconds(2)) {
            await self.login(within: .milliseconds(200)).isReady
        }
        guard isReady else { throw timeout("take logins") }
    }

    private func login(within limit: Duration) async -> LoginProbe.Reply {
        let (port, user, database) = (port, configuration.user, configuration.database)
        return await offCooperativeThreads {
            LoginProbe.send(to: port, user: user, database: database, within: limit)
        }
    }

    private func waitForEnd(of processes: [ProcessTable.Entry], _ what: String) async throws {
        let haveEnded = try await Deadline(in: configuration.deadline).wait(every: .milliseconds(2)) {
            processes.allSatisfy(ProcessTable.hasEnded)
        }
        guard haveEnded else { throw timeout(what) }
    }

    private func timeout(_ what: String) -> SandboxError {
        SandboxError(
            .timedOut, "PostgreSQL did not \(what) within \(configuration.deadline)", logTail: Files.tail(logPath))
    }
}
