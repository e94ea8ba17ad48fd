internal import Glibc

/// A failure of a sandbox, a relay or the lab, described for the person at the terminal.
public struct SandboxError: Error, CustomStringConvertible, Sendable {
    /// The kinds that callers distinguish.
    public enum Kind: Sendable, Hashable {
        /// PostgreSQL's server binaries are not installed.
        case missingBinaries
        /// A wait exceeded its deadline.
        case timedOut
        /// A helper command did not start, or failed.
        case commandFailed
        /// The server ended instead of starting.
        case serverEnded
        /// The operation needs a running server.
        case notRunning
        /// The folder cannot serve as a sandbox.
        case folder
        /// A service did not start.
        case launch
        /// A service process misbehaved.
        case service
    }

    /// The kind of failure.
    public let kind: Kind
    /// What happened, in one sentence.
    public let message: String
    /// The last lines of the failed program's log.
    public let logTail: String?

    package init(_ kind: Kind, _ message: String, logTail: String? = nil) {
        self.kind = kind
        self.message = message
        self.logTail = logTail
    }

    /// The text of `errno`.
    package static var systemMessage: String { String(cString: strerror(errno)) }

    /// The message, and the end of the log.
    public var description: String {
        guard let logTail, !logTail.isEmpty else { return message }
        let quoted = logTail.split(separator: "\n").map { "  | \($0)" }.joined(separator: "\n")
        return "\(message)\n\(quoted)"
    }
}
