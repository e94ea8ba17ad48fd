import Glibc

/// A value behind a pthread lock. `Synchronization.Mutex` would do, but ThreadSanitizer cannot see its futex and reports
/// races that are none. The loop has one like it, and the lab does without the loop, because the loop is a part of what the
/// lab tries.
///
/// `@unchecked Sendable`, because the lock is what makes it so, which the compiler cannot see: `value` is touched only
/// between lock and unlock.
final class Locked<Value: Sendable>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    init(_ value: Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
