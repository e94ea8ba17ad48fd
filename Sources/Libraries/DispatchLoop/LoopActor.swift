/// The global actor whose executor is the process's ``EventLoop``.
///
/// A process has one event loop. Code isolated to this actor runs on the loop's serial queue, needs no locks, and must
/// not block. To use more cores, run more processes behind the same port.
@globalActor
public actor LoopActor {
    /// The one instance.
    public static let shared = LoopActor()

    /// The loop's serial queue, as a Swift executor.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        EventLoop.shared.asUnownedSerialExecutor()
    }

    /// Runs `operation` at once if the caller is on the loop; traps otherwise. For C and Dispatch callbacks, which run
    /// on the loop although their type does not say so.
    package nonisolated static func assumeIsolated<Result>(
        _ operation: @LoopActor () throws -> Result
    ) rethrows -> Result {
        shared.preconditionIsolated()
        return try withoutActuallyEscaping(operation) { isolated in
            // Same cast as in `MainActor.assumeIsolated`: isolation exists only in the type.
            try unsafeBitCast(isolated, to: (() throws -> Result).self)()
        }
    }
}
