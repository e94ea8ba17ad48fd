internal import Glibc

/// The file operations that the lab needs. Plain system calls, because files under /proc have no size, and because
/// ownership matters when root acts for the server's user.
package enum Files {
    /// Reads the whole file. Nil if that fails, which under /proc means that the process ended.
    package static func read(_ path: String, from offset: Int = 0) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        if offset > 0 { lseek(descriptor, offset, SEEK_SET) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Replaces the content in place, so that an existing file keeps its owner.
    package static func write(_ text: String, to path: String, mode: UInt32 = 0o600, append: Bool = false) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), mode)
        guard descriptor >= 0 else { throw failure("cannot write", path) }
        defer { close(descriptor) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure("cannot write", path) }
            rest = rest.dropFirst(count)
        }
    }

    package static func size(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    package static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    package static func canonical(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The target of a symbolic link.
    package static func link(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }

    /// Creates the folder and its parents.
    package static func makeFolder(_ path: String, mode: UInt32) throws {
        if exists(path) { return }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try makeFolder(String(path[..<slash]), mode: 0o755)
        }
        if mkdir(path, mode) != 0 && errno != EEXIST { throw failure("cannot make the folder", path) }
    }

    /// Creates a folder of mode 0700, named `prefix` and six random characters.
    package static func makeTemporaryFolder(_ prefix: String) throws -> String {
        var template = Array("\(prefix)XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw failure("cannot make a folder like", "\(prefix)XXXXXX") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package static func give(_ path: String, to account: ServerAccount) throws {
        guard let (user, group) = account.ids else { return }
        if chown(path, user, group) != 0 { throw failure("cannot give away", path) }
    }

    /// Deletes the folder and its contents, if it exists.
    package static func removeTree(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { removeTree("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    package static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// The last `lines` lines of a log after `offset`.
    package static func tail(_ path: String, from offset: Int = 0, lines: Int = 12) -> String? {
        guard let text = read(path, from: offset) else { return nil }
        return text.split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    /// The folder for temporary files.
    package static var temporary: String {
        guard let named = getenv("TMPDIR"), named[0] != 0 else { return "/tmp" }
        let path = String(cString: named)
        return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// The folder for temporary clusters: in memory, if 2 GiB are free there. Creating the thousand small files of a
    /// cluster takes 70 ms in memory, and a second on some disks.
    package static var scratch: String {
        var status = statvfs()
        guard getenv("TMPDIR") == nil, statvfs("/dev/shm", &status) == 0 else { return temporary }
        let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        return free > 2 << 30 && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : temporary
    }

    private static func failure(_ what: String, _ path: String) -> SandboxError {
        SandboxError(.folder, "\(what) \(path): \(SandboxError.systemMessage)")
    }
}
