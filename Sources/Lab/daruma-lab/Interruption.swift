import Dispatch
import Glibc

/// Turns Ctrl-C and SIGTERM into cancellation.
enum Interruption {
    /// Runs `body`. The first signal cancels it and waits for its end. The second signal ends the process at once; the
    /// watchdogs then clean up.
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

    /// Runs `cleanUp` to its end even if the task around it is cancelled.
    static func uninterrupted<Result: Sendable>(
        _ cleanUp: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await Task { try await cleanUp() }.value
    }
}
