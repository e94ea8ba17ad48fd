// Every continuation of the pool is resumed exactly once: the machine settles a waiter once, a race ends once, and both
// are tested. Debug builds, and so all tests, check it; in release builds the check is left out, which costs an object and
// makes what holds a continuation opaque to the compiler.
#if DEBUG
    /// Resumes a task that waits for the pool.
    typealias PoolContinuation<Value> = CheckedContinuation<Value, Never>
#else
    /// Resumes a task that waits for the pool.
    typealias PoolContinuation<Value> = UnsafeContinuation<Value, Never>
#endif

@inline(__always)
func poolContinuation<Value>(_ continuation: UnsafeContinuation<Value, Never>) -> PoolContinuation<Value> {
    #if DEBUG
        CheckedContinuation(continuation: continuation)
    #else
        continuation
    #endif
}
