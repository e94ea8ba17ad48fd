import Glibc
import Subprocess
import SystemPackage

/// A shell in a session of its own that waits for its maker to let go of it – on purpose, or by
/// crashing, or by SIGKILL – and then tidies up what the maker left behind.
///
/// The wait is a read on a socket whose other end only the maker holds: the kernel closes it however
/// the maker ends. A signal handler or `atexit` would miss the ends that matter.
package final class CleanupWatchdog: Sendable {
    private let descriptor: Int32

    /// `script` runs under `sh -c` with `arguments` as `$1`, `$2` … once the line is cut.
    package init(script: String, arguments: [String]) async throws {
        var ends: [Int32] = [-1, -1]
        // A socket pair instead of a pipe: it can be made close-on-exec in one step, so that no child
        // started at the same moment by another thread keeps the line alive.
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw SandboxError(.commandFailed, "cannot make a lifeline: \(String(cString: strerror(errno)))")
        }
        descriptor = ends[0]
        let waiting = "trap '' INT TERM HUP QUIT; read -r line; exec <&-\n" + script
        let other = FileDescriptor(rawValue: ends[1])
        // A task of its own: a cancellation would kill the helper, and nobody would know whether there is a watchdog.
        let status = try await Task {
            // Forked away (-f): the watchdog is nobody's child here, so nobody has to reap it.
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
