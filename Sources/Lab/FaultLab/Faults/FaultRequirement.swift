import Glibc
import PostgresTestKit

/// Something that not every machine has, without which a fault is skipped – by name, never silently.
package enum FaultRequirement: Sendable {
    /// A mount namespace of one's own: root, and a container that lets it.
    case mountNamespace
    /// The right to mount a small file system.
    case mount
    case openssl
    case libfaketime

    /// Why it is not met; nil when it is.
    package func reasonMissing() async -> String? {
        switch self {
        case .mountNamespace:
            if geteuid() != 0 { return "needs root, for a mount namespace" }
            let works = try? await Command(executable: "/usr/bin/unshare", arguments: ["-m", "true"]).run()
            return works == nil ? "a mount namespace is not allowed here" : nil
        case .mount:
            if geteuid() != 0 { return "needs root, for a small file system" }
            let test = "mount -t tmpfs none /mnt"
            let arguments = ["-m", "/bin/sh", "-c", test]
            let works = try? await Command(executable: "/usr/bin/unshare", arguments: arguments).run()
            return works == nil ? "mounting is not allowed here" : nil
        case .openssl:
            return Files.isExecutable("/usr/bin/openssl") ? nil : "openssl is not installed: apt-get install openssl"
        case .libfaketime:
            return Self.clockLibrary == nil ? "libfaketime is not installed: apt-get install faketime" : nil
        }
    }

    /// Debian keeps it in a folder of its own, below that of the architecture.
    static var clockLibrary: String? {
        Files.names(in: "/usr/lib").map { "/usr/lib/\($0)/faketime/libfaketime.so.1" }.first(where: Files.exists)
    }
}
