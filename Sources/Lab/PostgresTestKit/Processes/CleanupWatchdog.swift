import Glibc
import Subprocess
import SystemPackage

/// A shell in its own session that cleans up after its owner ends by `deinit`, a crash or SIGKILL.
///
/// The shell reads from a socket whose other end only the owner holds. The kernel closes that end however the owner
/// ends; a signal handler or `atexit` would miss a crash and SIGKILL.
package final class CleanupWatchdog: Sendable {
    private let descriptor: Int32

    /// `script` runs under `sh -c`, with `arguments` as `$1`, `$2` …, when the socket closes.
    package init(script: String, arguments: [String]) async throws {
        var ends: [Int32] = [-1, -1]
        // Not a pipe: a socket pair is close-on-exec from its creation, so no child of another thread inherits an end.
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw SandboxError(.commandFailed, "cannot start the watchdog: \(SandboxError.systemMessage)")
        }
        descriptor = ends[0]
        let waiting = "trap '' INT TERM HUP QUIT; read -r line; exec <&-\n" + script
        let other = FileDescriptor(rawValue: ends[1])
        // A separate task, because cancellation would kill the helper and leave unknown whether the watchdog started.
        let status = try await Task {
            // With -f the watchdog is not our child, and needs no reaping.
            try await Subprocess.run(
                .name("setsid"), arguments: Arguments(["-f", "sh", "-c", waiting, "daruma-lifeline"] + arguments),
                workingDirectory: "/", input: .fileDescriptor(other, closeAfterSpawningProcess: true),
                output: .discarded, error: .discarded
            ).terminationStatus
        }.value
        guard status.isSuccess else {
            throw SandboxError(.commandFailed, "cannot start the watchdog: \(status)")
        }
    }

    deinit { close(descriptor) }
}
