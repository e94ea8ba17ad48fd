import Glibc

/// Who runs the server's binaries. PostgreSQL refuses to run as root, so root runs them as the user
/// that Debian's package made; everybody else runs them as oneself.
package enum ServerAccount: Sendable {
    case oneself
    case other(user: UInt32, group: UInt32)

    package static func current() throws -> ServerAccount {
        guard geteuid() == 0 else { return .oneself }
        guard let entry = getpwnam("postgres") else {
            throw SandboxError(
                .missingBinaries,
                "PostgreSQL does not run as root, and there is no user `postgres` to run it as: "
                    + "apt-get install postgresql makes one")
        }
        return .other(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
    }

    var ids: (user: UInt32, group: UInt32)? {
        switch self {
        case .oneself: nil
        case .other(let user, let group): (user, group)
        }
    }

    var userID: UInt32 { ids?.user ?? geteuid() }

    /// Whether the account can pass through every folder down to `path` – under /root, for one, it cannot.
    func canReach(_ path: String) -> Bool {
        guard let (user, group) = ids else { return true }
        var folder = path
        while true {
            var status = stat()
            if stat(folder, &status) == 0 {
                let needed: mode_t =
                    status.st_uid == user ? S_IXUSR : status.st_gid == group ? S_IXGRP : S_IXOTH
                if status.st_mode & needed == 0 { return false }
            }
            guard folder != "/", let slash = folder.lastIndex(of: "/") else { return true }
            folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
        }
    }
}
