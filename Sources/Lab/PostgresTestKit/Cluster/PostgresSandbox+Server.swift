import Glibc

/// How PostgreSQL is asked to stop; `pg_ctl`'s modes.
package enum StopMode: String, Sendable, CaseIterable {
    /// Waits for all sessions to end by themselves.
    case smart
    /// Ends all sessions.
    case fast
    /// Ends everything without a checkpoint; the next start recovers.
    case immediate

    var signal: Int32 {
        switch self {
        case .smart: SIGTERM
        case .fast: SIGINT
        case .immediate: SIGQUIT
        }
    }
}

/// What a sandbox's server is doing.
package enum ServerStatus: Equatable, Sendable, CustomStringConvertible {
    case stopped
    /// Alive, and not yet, or no longer, taking logins.
    case busy(pid: Int32)
    case accepting(pid: Int32)
    /// Stopped by SIGSTOP: the kernel still completes TCP handshakes for it.
    case frozen(pid: Int32)

    package var description: String {
        switch self {
        case .stopped: "stopped"
        case .busy(let pid): "starting or stopping (pid \(pid))"
        case .accepting(let pid): "accepting connections (pid \(pid))"
        case .frozen(let pid): "frozen (pid \(pid))"
        }
    }
}

extension PostgresSandbox {
    /// The postmaster, if it lives: the one that postmaster.pid names, if that process really is a
    /// server on this folder and not a stranger with a reused id.
    package var server: ProcessTable.Entry? {
        guard let line = Files.read("\(dataFolder)/postmaster.pid")?.split(separator: "\n").first,
            let id = pid_t(line), let entry = ProcessTable.entry(id), !entry.hasEnded,
            ProcessTable.arguments(of: id).contains(dataFolder)
        else { return nil }
        return entry
    }

    package func status() async -> ServerStatus {
        guard let server else { return .stopped }
        if server.isStopped { return .frozen(pid: server.id) }
        return await login(within: .seconds(1)).isReady ? .accepting(pid: server.id) : .busy(pid: server.id)
    }

    /// Starts the server, and waits until logins work unless told not to. Returns how long that took.
    ///
    /// Throws when the server ends instead, or when the deadline passes; quotes the log.
    @discardableResult
    package func start(waitForLogins: Bool = true) async throws -> Duration {
        let clock = ContinuousClock()
        let begin = clock.now
        let deadline = Deadline(in: configuration.deadline)
        if let server, server.isStopped {
            throw SandboxError(.notRunning, "the server (pid \(server.id)) is frozen: thaw it")
        }
        if server == nil {
            let logSize = Files.size(logPath)
            // After kill -9, or next to another process that starts it, one attempt may be too early.
            while try await !attemptToStart(from: logSize, waitForLogins, deadline) {
                try await Task.sleep(for: .milliseconds(20))
            }
        } else if waitForLogins {
            try await self.waitForLogins(deadline)
        }
        return clock.now - begin
    }

    /// One start. False when it is worth another try.
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
            // Another process, or task, was faster.
            if wait { try await waitForLogins(deadline) }
            return true
        }
        let log = Files.read(logPath, from: logSize) ?? ""
        let isPassing = ["shared memory block", "lock file"].contains { log.contains($0) }
        if isPassing && !deadline.hasPassed { return false }
        throw SandboxError(
            .serverEnded, "PostgreSQL ended instead of starting", logTail: Files.tail(logPath, from: logSize))
    }

    /// Starts a postmaster in a session of its own, as nobody's child here: it must outlive a command
    /// line tool, and nobody would reap it.
    private func spawn() async throws -> ProcessTable.Entry {
        removeLocksOfDeadServer()
        if socketFolder != folder && !Files.exists(socketFolder) {
            try Files.makeFolder(socketFolder, mode: 0o700)
            try Files.give(socketFolder, to: account)
        }
        // Where the kernel groups processes by session (sched(7)), the group's niceness is what counts against others.
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
            throw SandboxError(.commandFailed, "the shell did not say which process it started")
        }
        return ProcessTable.entry(id) ?? ProcessTable.Entry(id: id, state: "X", parent: 0, startTime: 0)
    }

    /// A server that was killed leaves its lock files. PostgreSQL takes them over when their process is
    /// gone, but holds a zombie for a rival; where init is slow to reap, or never does, as in many
    /// containers, that would keep it from starting.
    private func removeLocksOfDeadServer() {
        guard let line = Files.read("\(dataFolder)/postmaster.pid")?.split(separator: "\n").first,
            let id = pid_t(line), let entry = ProcessTable.entry(id), entry.hasEnded
        else { return }
        unlink("\(dataFolder)/postmaster.pid")
        unlink("\(socketFolder)/.s.PGSQL.\(port).lock")
    }

    /// Stops the server and waits for its end. Returns how long that took. A server that is not running
    /// is as it should be. A frozen one is thawed first: it could not hear.
    @discardableResult
    package func stop(_ mode: StopMode = .fast, wait: Bool = true) async throws -> Duration {
        let clock = ContinuousClock()
        let begin = clock.now
        guard let server else { return .zero }
        if server.isStopped { try await thaw() }
        Glibc.kill(server.id, mode.signal)
        if wait { try await waitForEnd(of: [server], "stop (\(mode.rawValue))") }
        return clock.now - begin
    }

    /// Stops fast and starts.
    @discardableResult
    package func restart() async throws -> Duration {
        let stopped = try await stop(.fast)
        return stopped + (try await start())
    }

    /// SIGKILL for the postmaster and every process of its, as when the machine loses its power; waits
    /// until all of them are gone, so that a start can follow.
    package func kill() async throws {
        guard let server else { return }
        // Frozen first, so that no new process escapes between listing and killing.
        Glibc.kill(server.id, SIGSTOP)
        let deadline = Deadline(in: configuration.deadline)
        _ = try await deadline.wait(every: .milliseconds(1)) { ProcessTable.entry(server.id)?.isStopped ?? true }
        let children = ProcessTable.children(of: server.id)
        for process in children + [server] { Glibc.kill(process.id, SIGKILL) }
        try await waitForEnd(of: children + [server], "kill -9")
    }

    /// SIGSTOP for the postmaster and, unless told otherwise, its children: sessions hang in mid-query,
    /// and new ones are taken by the kernel and never greeted.
    package func freeze(onlyPostmaster: Bool = false) async throws {
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

    /// SIGCONT for all of them.
    package func thaw() async throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to thaw") }
        for child in ProcessTable.children(of: server.id) { Glibc.kill(child.id, SIGCONT) }
        Glibc.kill(server.id, SIGCONT)
        let deadline = Deadline(in: configuration.deadline)
        let isThawed = try await deadline.wait(every: .milliseconds(1)) {
            !(ProcessTable.entry(server.id)?.isStopped ?? false)
        }
        guard isThawed else { throw timeout("thaw") }
    }

    /// Makes the server read its settings again.
    package func reload() throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to reload") }
        Glibc.kill(server.id, SIGHUP)
    }

    /// Waits until a login would be answered; a database in recovery counts as not yet.
    package func waitForLogins(_ deadline: Deadline? = nil) async throws {
        let isReady = try await (deadline ?? Deadline(in: configuration.deadline)).wait(every: .milliseconds(2)) {
            await self.login(within: .milliseconds(200)).isReady
        }
        guard isReady else { throw timeout("take logins") }
    }

    private func login(within limit: Duration) async -> LoginProbe.Answer {
        let (port, user, database) = (port, configuration.user, configuration.database)
        return await offCooperativeThreads {
            LoginProbe.ask(port: port, user: user, database: database, within: limit)
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
