import Glibc

/// libpq's password file. libpq ignores one that others can read, and says so on standard error, past every log, with each
/// connect (fe-connect.c, `passwordFromFile`); here it is looked at first.
enum PasswordFile {
    /// A path that leads nowhere, and that libpq says nothing of. (`/dev/null` is not a plain file, of which it warns.)
    static let nowhere = "/dev/null/none"

    /// The file that libpq would read with these parameters: `passfile`, which `PGPASSFILE` is the default of, or
    /// `~/.pgpass`. `nil` where libpq looks for none, because there is a password.
    static func path(in parameters: [String: String]) -> String? {
        guard parameters["password"] ?? "" == "" else { return nil }
        if let path = parameters["passfile"], !path.isEmpty { return path }
        return home.map { "\($0)/.pgpass" }
    }

    /// Why libpq would ignore the file at `path`; `nil` when it would read it, and when there is none.
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
