import Glibc
import PostgresTestKit

/// A requirement that not every machine meets. The matrix skips a fault whose requirement is unmet, and reports that.
package enum FaultRequirement: Sendable {
    /// A mount namespace: needs root, and a container that allows it.
    case mountNamespace
    /// Mounting a small file system.
    case mount
    case openssl
    case libfaketime
    /// Patroni and etcd.
    case patroni

    /// Why the machine does not meet it; nil if it does.
    package func reasonMissing() async -> String? {
        switch self {
        case .mountNamespace: return await Self.tryUnshared("true", for: "a mount namespace")
        case .mount: return await Self.tryUnshared("mount -t tmpfs none /mnt", for: "a mount")
        case .openssl:
            return Files.isExecutable("/usr/bin/openssl") ? nil : "openssl is not installed: apt-get install openssl"
        case .libfaketime:
            return Self.clockLibrary == nil ? "libfaketime is not installed: apt-get install faketime" : nil
        case .patroni: return PatroniCluster.reasonMissing()
        }
    }

    private static func tryUnshared(_ script: String, for purpose: String) async -> String? {
        if geteuid() != 0 { return "needs root, for \(purpose)" }
        let arguments = ["-m", "/bin/sh", "-c", script]
        let works = try? await Command(executable: "/usr/bin/unshare", arguments: arguments).run()
        return works == nil ? "\(purpose) is not allowed here" : nil
    }

    /// Debian installs it below the architecture's folder.
    static var clockLibrary: String? {
        Files.names(in: "/usr/lib").map { "/usr/lib/\($0)/faketime/libfaketime.so.1" }.first(where: Files.exists)
    }
}
