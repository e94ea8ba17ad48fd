internal import Glibc
internal import PostgresTestKit

/// Measures the time from exec to the first answer.
package enum StartUp {
    /// Starts `command`, which serves on `port`, requests `/` until it answers 200, stops the process and waits for its
    /// end. Blocks the thread.
    ///
    /// Throws a `SandboxError` if it does not start or does not answer.
    package static func measure(_ command: [String], port: UInt16, environment: [String]) throws -> Duration {
        let begin = ContinuousClock.now
        let id = try spawn(command, environment)
        defer {
            kill(id, SIGTERM)
            var status: Int32 = 0
            waitpid(id, &status, 0)
        }
        let deadline = Deadline(in: .seconds(30))
        while !deadline.hasPassed {
            if isGood(port) { return ContinuousClock.now - begin }
            usleep(100)
        }
        throw SandboxError(.timedOut, "\(command[0]) did not answer")
    }

    /// Sends one request. Usually the connect is refused.
    private static func isGood(_ port: UInt16) -> Bool {
        let deadline = Deadline(in: .seconds(5))
        guard let socket = try? DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline),
            (try? socket.send(Array("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".utf8), deadline: deadline)) != nil,
            let answer = try? socket.receive(deadline: deadline)
        else { return false }
        return answer.starts(with: Array("HTTP/1.1 200".utf8))
    }

    private static func spawn(_ command: [String], _ environment: [String]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
        }
        var arguments = command.map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var id: pid_t = 0
        let error = posix_spawn(&id, command[0], &actions, nil, &arguments, &variables)
        guard error == 0 else {
            throw SandboxError(.launch, "cannot start \(command[0]): \(String(cString: strerror(error)))")
        }
        return id
    }
}
