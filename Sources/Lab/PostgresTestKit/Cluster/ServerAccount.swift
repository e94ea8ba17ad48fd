import Glibc

/// The system account that runs the server's binaries. PostgreSQL refuses to run as root, so root runs them as the user
/// `postgres` of Debian's package; other users run them as themselves.
package enum ServerAccount: Sendable {
    case sameUser
    case other(user: UInt32, group: UInt32)

    package static func current() throws -> ServerAccount {
        guard geteuid() == 0 else { return .sameUser }
        guard let entry = getpwnam("postgres") else {
            throw SandboxError(
                .missingBinaries,
                "PostgreSQL does not run as root, and the user `postgres` does not exist: apt-get install postgresql "
                    + "creates it")
        }
        return .other(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
    }

    var ids: (user: UInt32, group: UInt32)? {
        switch self {
        case .sameUser: nil
        case .other(let user, let group): (user, group)
        }
    }

    var userID: UInt32 { ids?.user ?? geteuid() }

    /// The words of a command that runs `words` as this user.
    ///
    /// By setpriv(1), because the user options of the spawning call fork in this process: under ThreadSanitizer such a
    /// child sometimes waits for the lock of a thread that it does not have. Without them the call is a posix_spawn.
    package func command(_ words: [String]) -> [String] {
        guard let (user, group) = ids else { return words }
        return ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(group)", "--clear-groups", "--"] + words
    }

    /// Whether the user may pass through every folder down to `path`; below /root, `postgres` may not.
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
