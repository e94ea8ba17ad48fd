/// What went wrong with a sandbox, written for the person at the terminal.
package struct SandboxError: Error, CustomStringConvertible, Sendable {
    /// What a caller may want to tell apart.
    package enum Kind: Sendable {
        /// PostgreSQL's server binaries are not installed.
        case missingBinaries
        /// A wait reached its deadline.
        case timedOut
        /// A helper command could not be run, or failed.
        case commandFailed
        /// The server ended instead of starting.
        case serverEnded
        /// The operation needs a running server.
        case notRunning
        /// The folder cannot be used as a sandbox.
        case folder
        /// A service could not be started.
        case launch
        /// A service process did not behave.
        case service
    }

    package let kind: Kind
    package let message: String
    /// The last lines of the log that belongs to the failure, if there is one.
    package let logTail: String?

    package init(_ kind: Kind, _ message: String, logTail: String? = nil) {
        self.kind = kind
        self.message = message
        self.logTail = logTail
    }

    package var description: String {
        guard let logTail, !logTail.isEmpty else { return message }
        let quoted = logTail.split(separator: "\n").map { "  | \($0)" }.joined(separator: "\n")
        return "\(message)\n\(quoted)"
    }
}
