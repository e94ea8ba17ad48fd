// The pool resumes every continuation exactly once: the machine settles a waiter once, a query ends once, and tests
// check both. Debug builds use checked continuations. Release builds do not: the check costs an object per wait, and
// makes the structures that hold a continuation opaque to the optimizer.
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
