internal import Dispatch

/// Runs blocking work on a Dispatch thread, so that it occupies none of Swift's few cooperative threads.
package func offCooperativeThreads<Value: Sendable, Failure: Error>(
    _ work: @escaping @Sendable () throws(Failure) -> Value
) async throws(Failure) -> Value {
    try await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
            continuation.resume(returning: Result { () throws(Failure) -> Value in try work() })
        }
    }.get()
}
