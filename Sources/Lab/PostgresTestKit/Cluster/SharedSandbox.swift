/// One server for all tests of a process that leave it intact. Its watchdog deletes it when the process ends.
public enum SharedSandbox {
    private static let task = Task {
        let sandbox = try await PostgresSandbox.make()
        try await sandbox.start()
        return sandbox
    }

    /// Returns the server. The first call starts it.
    ///
    /// - Throws: ``SandboxError``.
    public static func get() async throws -> PostgresSandbox { try await task.value }
}
