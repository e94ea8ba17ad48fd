internal import CLinux
internal import Glibc

/// A value behind a lock, for the few things that the loop shares with other threads.
///
/// Not `Synchronization.Mutex`: ThreadSanitizer does not see its futex and reports false races; it knows pthread's
/// lock.
///
/// `@unchecked Sendable`, because the compiler does not see that only `withLock` touches `value`, between lock and
/// unlock.
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
