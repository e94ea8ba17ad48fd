import Glibc

/// A folder that its last reference deletes.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// `isOpen` lets other users, such as the server's, pass through.
    package init(isOpen: Bool = false) throws {
        path = try Files.makeTemporaryFolder("\(Files.temporary)/daruma-")
        if isOpen { chmod(path, 0o755) }
    }

    deinit { Files.removeTree(path) }
}
