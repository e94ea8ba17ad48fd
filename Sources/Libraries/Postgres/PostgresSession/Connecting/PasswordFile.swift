import Glibc

/// libpq's password file. libpq ignores one that others can access, and says so on standard error with each connect
/// (fe-connect.c, `passwordFromFile`). This check comes first, so that the log says so instead.
enum PasswordFile {
    /// A path that does not exist, which libpq accepts silently. (It warns of `/dev/null`, which is not a plain file.)
    static let nowhere = "/dev/null/none"

    /// The file that libpq would read: `passfile`, whose default is `PGPASSFILE`, or `~/.pgpass`. `nil` if a password
    /// is set, because libpq then reads no file.
    static func path(in parameters: [String: String]) -> String? {
        guard parameters["password"] ?? "" == "" else { return nil }
        if let path = parameters["passfile"], !path.isEmpty { return path }
        return home.map { "\($0)/.pgpass" }
    }

    /// Why libpq would ignore the file at `path`; `nil` if it would read it, or if there is none.
    static func fault(at path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        if status.st_mode & S_IFMT != S_IFREG { return "it is not a plain file" }
        return status.st_mode & (S_IRWXG | S_IRWXO) == 0 ? nil : "others have access; its mode should be 0600"
    }

    private static var home: String? {
        if let home = getenv("HOME"), home.pointee != 0 { return String(cString: home) }
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4_096)
        guard getpwuid_r(geteuid(), &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return entry.pw_dir.map { String(cString: $0) }
    }
}
