import Glibc

/// A folder that goes with the last reference to it.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// `isOpen` lets others (the server's user) pass through.
    package init(isOpen: Bool = false) throws {
        path = try Files.makeTemporaryFolder("\(Files.temporary)/daruma-")
        if isOpen { chmod(path, 0o755) }
    }

    deinit { Files.removeTree(path) }
}
