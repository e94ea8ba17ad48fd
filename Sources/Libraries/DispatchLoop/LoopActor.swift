/// The global actor whose executor is the process's ``EventLoop``.
///
/// One process is one event loop is one pool: what is isolated to this actor runs on the loop's serial queue, needs no
/// locks, and must not block. More cores are used by more processes behind the same port.
@globalActor
public actor LoopActor {
    /// The one instance.
    public static let shared = LoopActor()

    /// The loop's serial queue, as a Swift executor.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        EventLoop.shared.asUnownedSerialExecutor()
    }

    /// Runs `operation` at once, if the caller is on the loop already; traps otherwise.
    ///
    /// For C and Dispatch callbacks that are known to run on the loop but cannot say so in their type.
    public nonisolated static func assumeIsolated<Result>(
        _ operation: @LoopActor () throws -> Result
    ) rethrows -> Result {
        shared.preconditionIsolated()
        return try withoutActuallyEscaping(operation) { isolated in
            // As the standard library does for MainActor: the isolation is only a part of the type.
            try unsafeBitCast(isolated, to: (() throws -> Result).self)()
        }
    }
}
