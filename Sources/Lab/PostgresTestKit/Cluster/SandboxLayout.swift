import Glibc

/// What lies where in a sandbox's folder, how it comes to be there, and how it is found again.
struct SandboxLayout {
    let folder: String
    let port: UInt16
    let configuration: SandboxConfiguration

    /// Unix sockets' addresses end after 107 bytes; deeper folders get a socket folder near the root,
    /// named by a digest of theirs.
    static func socketFolder(for folder: String) -> String {
        if folder.utf8.count + "/.s.PGSQL.65535".utf8.count <= 107 { return folder }
        return "/tmp/daruma-socket-\(digest(folder))"
    }

    /// FNV-1a: short names that stay the same from run to run, unlike `Hasher`'s.
    static func digest(_ text: String) -> String {
        String(text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 16)
    }

    /// Makes the cluster. Its data appear last and at once, so that a folder with data is a whole sandbox.
    func create(_ binaries: PostgresBinaries, _ account: ServerAccount) async throws {
        let unfinished = "\(folder)/data.new"
        Files.removeTree(unfinished)
        try await ClusterTemplate(binaries: binaries, account: account).copy(to: unfinished, configuration)
        try Files.write(Self.accessRules(configuration.authentication), to: "\(unfinished)/pg_hba.conf")
        try Files.write(serverSettings, to: "\(unfinished)/postgresql.conf", append: true)
        try Files.write(facts, to: "\(folder)/sandbox.conf")
        for path in ["\(folder)/sandbox.conf"] { try Files.give(path, to: account) }
        if rename(unfinished, "\(folder)/data") != 0 {
            throw SandboxError(.folder, "cannot make \(folder)/data: \(String(cString: strerror(errno)))")
        }
    }

    static func accessRules(_ authentication: SandboxConfiguration.Authentication) -> String {
        let method = authentication.rawValue
        return """
            local all,replication all trust
            host all,replication all 127.0.0.1/32 \(method)
            host all,replication all ::1/128 \(method)

            """
    }

    private var serverSettings: String {
        var settings = [
            "listen_addresses": "127.0.0.1",
            "port": "\(port)",
            "unix_socket_directories": Self.socketFolder(for: folder),
            "lc_messages": "C",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            // In the data folder instead of /dev/shm, where a killed server would leave them behind.
            "dynamic_shared_memory_type": "mmap",
            "shared_buffers": "16MB",
        ]
        if !configuration.isDurable {
            settings.merge(["fsync": "off", "full_page_writes": "off"]) { $1 }
        }
        settings.merge(configuration.settings) { $1 }
        return settings.sorted { $0.key < $1.key }.map { "\($0.key) = \(literal($0.value))\n" }.joined()
    }

    /// What another process must know to operate the sandbox.
    private var facts: String {
        """
        port=\(port)
        user=\(configuration.user)
        password=\(configuration.password)
        database=\(configuration.database)

        """
    }

    static func load(_ folder: String) throws -> (port: UInt16, SandboxConfiguration) {
        guard let text = Files.read("\(folder)/sandbox.conf") else {
            throw SandboxError(.folder, "\(folder) holds no sandbox, or one of another user's")
        }
        var configuration = SandboxConfiguration()
        configuration.isDurable = true
        var port: UInt16?
        for line in text.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            let value = String(line[line.index(after: equals)...])
            switch line[..<equals] {
            case "port": port = UInt16(value)
            case "user": configuration.user = value
            case "password": configuration.password = value
            case "database": configuration.database = value
            default: break
            }
        }
        guard let port else { throw SandboxError(.folder, "\(folder)/sandbox.conf names no port") }
        return (port, configuration)
    }

    /// What the watchdog does when the maker has gone. `$1` is the folder, `$2` the socket's. It goes
    /// round until the folder stays away, because a helper that the maker had just started – the copy,
    /// the server – may still be writing. An immediate shutdown lets the server free its shared memory;
    /// SIGKILL after that is for a server that cannot.
    static let removalScript = """
        stop_server() {
            pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && [ -n "$pid" ] || return 0
            tr '\\0' '\\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$1/data" || return 0
            children=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null)
            kill -QUIT "$pid" 2>/dev/null
            kill -CONT "$pid" $children 2>/dev/null
            n=0
            while kill -0 "$pid" 2>/dev/null && [ "$n" -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
            kill -KILL "$pid" $children 2>/dev/null
        }
        # What a killed server leaves: lines 7's key and id, if they still belong together.
        free_memory() {
            set -- $(sed -n 7p "$1/data/postmaster.pid" 2>/dev/null)
            [ $# -eq 2 ] && grep -Eq "^ *$1 +$2 " /proc/sysvipc/shm && ipcrm -m "$2" 2>/dev/null
        }
        round=0
        while [ "$round" -lt 10 ]; do
            stop_server "$1"
            free_memory "$1"
            rm -rf -- "$1" "$2"
            [ -e "$1" ] || break
            sleep 0.2
            round=$((round + 1))
        done
        """
}

/// Where a permanent sandbox's cluster lives, given the folder that the user named.
struct PermanentHome {
    static let clusterName = "cluster"

    let folder: String
    package let account: ServerAccount

    /// The real path of the cluster's folder, made if missing.
    func locate() throws -> String {
        // A throw-away sandbox's own folder serves as well, so that its switch is at hand too.
        if Files.exists("\(folder)/sandbox.conf"), let home = Files.canonical(folder) { return home }
        try Files.makeFolder(folder, mode: 0o755)
        guard let base = Files.canonical(folder) else {
            throw SandboxError(.folder, "cannot open the folder \(folder): \(String(cString: strerror(errno)))")
        }
        let cluster = "\(base)/\(Self.clusterName)"
        if !Files.exists(cluster) {
            unlink(cluster)  // a link to what was removed
            if account.canReach(base) {
                try Files.makeFolder(cluster, mode: 0o700)
                try Files.give(cluster, to: account)
            } else {
                let elsewhere = "/var/lib/daruma-sandbox/\(SandboxLayout.digest(base))"
                try Files.makeFolder(elsewhere, mode: 0o700)
                try Files.give(elsewhere, to: account)
                guard symlink(elsewhere, cluster) == 0 else {
                    throw SandboxError(.folder, "cannot link \(cluster): \(String(cString: strerror(errno)))")
                }
            }
        }
        guard let home = Files.canonical(cluster) else {
            throw SandboxError(.folder, "cannot open \(cluster): \(String(cString: strerror(errno)))")
        }
        return home
    }
}
