import Dispatch
import Glibc

/// Ctrl-C and SIGTERM as cancellation of the running work.
enum Interruption {
    /// Runs `body`; the first signal cancels it, and it is waited for. A second one ends the process the
    /// hard way; the watchdogs tidy up then.
    static func cancelling(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await body() }
        let sources = [SIGINT, SIGTERM].map { number in
            Glibc.signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if task.isCancelled { _exit(128 + number) }
                task.cancel()
            }
            source.resume()
            return source
        }
        defer {
            for source in sources { source.cancel() }
        }
        try await task.value
    }

    /// Runs `cleanUp` to its end although the task around it may be cancelled.
    static func uninterrupted<Result: Sendable>(
        _ cleanUp: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await Task { try await cleanUp() }.value
    }
}
