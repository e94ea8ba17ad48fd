internal import CLinux
internal import Glibc

/// A value behind a lock, for the few things that threads other than the loop's share with it.
///
/// Why not `Synchronization.Mutex`: ThreadSanitizer does not see its futex and reports false races on what it guards;
/// it knows pthread's.
///
/// `@unchecked Sendable`, because the lock is what makes it so, which the compiler cannot see: `value` is touched only
/// between lock and unlock.
package final class Locked<Value>: @unchecked Sendable {
    private var value: Value
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init(_ value: consuming sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
