import Glibc

/// The files in a sandbox's folder: creates them, and reads them back.
struct SandboxLayout {
    let folder: String
    let port: UInt16
    let configuration: SandboxConfiguration

    /// The path of a Unix socket has at most 107 bytes. Deeper folders get a socket folder in /tmp, named by a digest.
    static func socketFolder(for folder: String) -> String {
        if folder.utf8.count + "/.s.PGSQL.65535".utf8.count <= 107 { return folder }
        return "/tmp/daruma-socket-\(digest(folder))"
    }

    /// FNV-1a, which unlike `Hasher` gives the same name in every run.
    static func digest(_ text: String) -> String {
        String(text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 16)
    }

    /// Creates the cluster. Renames its data into place last, so that a folder with data is a complete sandbox.
    func create(_ binaries: PostgresBinaries, _ account: ServerAccount) async throws {
        let unfinished = "\(folder)/data.new"
        Files.removeTree(unfinished)
        try await ClusterTemplate(binaries: binaries, account: account).copy(to: unfinished, configuration)
        try Files.write(Self.accessRules(configuration.authentication), to: "\(unfinished)/pg_hba.conf")
        try Files.write(serverSettings, to: "\(unfinished)/postgresql.conf", append: true)
        try Files.write(facts, to: "\(folder)/sandbox.conf")
        try Files.give("\(folder)/sandbox.conf", to: account)
        if rename(unfinished, "\(folder)/data") != 0 {
            throw SandboxError(.folder, "cannot create \(folder)/data: \(SandboxError.systemMessage)")
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
            // In the data folder: in /dev/shm a killed server would leave its segments behind.
            "dynamic_shared_memory_type": "mmap",
            "shared_buffers": "16MB",
        ]
        if !configuration.isDurable {
            settings.merge(["fsync": "off", "full_page_writes": "off"]) { $1 }
        }
        settings.merge(configuration.settings) { $1 }
        return settings.sorted { $0.key < $1.key }.map { "\($0.key) = \(SQLText.literal($0.value))\n" }.joined()
    }

    /// The facts that another process needs to operate the sandbox.
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
            throw SandboxError(.folder, "\(folder) holds no sandbox that this user can read")
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

    /// The watchdog's script. `$1` is the folder, `$2` the socket's folder. It repeats until the folder stays deleted,
    /// because a helper that started last (the copy, the server) may still be writing. An immediate shutdown lets the
    /// server free its shared memory; SIGKILL follows if the server does not end.
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
        # Frees a killed server's segment: line 7 holds key and id, which must still belong together.
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

/// Finds the cluster of a permanent sandbox from the folder that the user named.
struct PermanentHome {
    static let clusterName = "cluster"

    let folder: String
    package let account: ServerAccount

    /// The real path of the cluster's folder. Creates the folder if it is missing.
    func locate() throws -> String {
        // The folder of a temporary sandbox works as well, so that `db` can operate it.
        if Files.exists("\(folder)/sandbox.conf"), let home = Files.canonical(folder) { return home }
        try Files.makeFolder(folder, mode: 0o755)
        guard let base = Files.canonical(folder) else {
            throw SandboxError(.folder, "cannot open the folder \(folder): \(SandboxError.systemMessage)")
        }
        let cluster = "\(base)/\(Self.clusterName)"
        if !Files.exists(cluster) {
            unlink(cluster)  // may be a link to a removed cluster
            if account.canReach(base) {
                try Files.makeFolder(cluster, mode: 0o700)
                try Files.give(cluster, to: account)
            } else {
                let elsewhere = "/var/lib/daruma-sandbox/\(SandboxLayout.digest(base))"
                try Files.makeFolder(elsewhere, mode: 0o700)
                try Files.give(elsewhere, to: account)
                guard symlink(elsewhere, cluster) == 0 else {
                    throw SandboxError(.folder, "cannot link \(cluster): \(SandboxError.systemMessage)")
                }
            }
        }
        guard let home = Files.canonical(cluster) else {
            throw SandboxError(.folder, "cannot open \(cluster): \(SandboxError.systemMessage)")
        }
        return home
    }
}
