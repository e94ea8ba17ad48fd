internal import CLibPQ
import Glibc

/// The database's location and our credentials: libpq's connection parameters (PostgreSQL manual, 34.1.2).
///
/// `init` fills parameters that the connection string omits from libpq's environment variables (`PGHOST`, `PGPASSWORD`
/// …). An invalid string gives a configuration with a ``problem``, with which every connect fails, so that a service
/// can start and report it.
public struct ConnectionConfiguration: Sendable {
    /// The parameters by keyword. May hold the password.
    package private(set) var parameters: [String: String]
    /// Why this configuration cannot be used; `nil` if it can.
    public private(set) var problem: PostgresError?

    /// Faults in the settings that do not prevent a connect: one line each, for the log.
    package private(set) var warnings: [String] = []
    /// The password file that libpq would read; `nil` if a password is set.
    private var passwordFile: String?

    /// One server of the list.
    package struct Server: Hashable, Sendable {
        /// A name, a numeric address, the folder of a Unix socket, or empty: libpq's default.
        package var host: String
        /// `hostaddr`: a numeric address that replaces the look-up; may be empty.
        package var address: String
        package var port: String

        package var isUnixSocket: Bool {
            address.isEmpty && (host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@"))
        }

        /// `host:port`, for the log.
        package var name: String {
            host.isEmpty && address.isEmpty ? "local socket" : "\(host.isEmpty ? address : host):\(port)"
        }
    }

    /// The servers in order; empty only if the configuration has a ``problem``.
    package private(set) var servers: [Server] = []

    /// Creates a configuration from a URI (`postgres://user:password@host:port/database`) or from `keyword=value`
    /// pairs. With an empty string, everything comes from the environment.
    public init(_ connectionString: String) {
        parameters = Self.environment()
        do throws(PostgresError) {
            let (text, balancing) = LoadBalancing.take(from: connectionString)
            let given = try Self.parse(text)
            if given["host"] != nil, given["hostaddr"] == nil { parameters["hostaddr"] = nil }
            parameters.merge(given) { _, given in given }
            let isConfigured = !connectionString.isEmpty || Self.isConfiguredByEnvironment
            try Self.checkUser(in: parameters, isConfigured: isConfigured)
            servers = try Self.servers(in: parameters)
            // Present in libpq 16 and later.
            let libpqDefault = parameters.removeValue(forKey: LoadBalancing.keyword)
            loadBalancesHosts = try Self.loadBalances(
                balancing ?? LoadBalancing.environment ?? libpqDefault ?? "disable")
            if !isConfigured { warnings.append("\(Self.unconfigured): trying a server on this machine") }
            if parameters["connect_timeout"] != nil {
                warnings.append(
                    "connect_timeout is not used; set --connect-timeout (PoolSettings.connectTimeout) instead")
            }
            passwordFile = PasswordFile.path(in: parameters)
            if let path = passwordFile, let fault = PasswordFile.fault(at: path) {
                warnings.append("the password file \(path) is ignored: \(fault)")
            }
        } catch {
            problem = error
            problem?.hint = error.hint ?? ConnectionStringDiagnosis.hint(for: connectionString)
        }
    }

    /// Whether each attempt tries servers and addresses in random order: `load_balance_hosts=random`.
    private(set) var loadBalancesHosts = false

    /// Sets a parameter, unless the connection string or the environment sets it.
    package mutating func setDefault(_ value: String, for keyword: String) {
        if parameters[keyword] == nil { parameters[keyword] = value }
    }

    /// Sets run-time parameters of the server at log-in, behind those that `options` sets already. They take precedence
    /// over what the server, the database or the role sets (PostgreSQL manual, 20.1.3), and `RESET` returns to them.
    package mutating func pin(_ settings: [(name: String, value: String)]) {
        var words = parameters["options"].map { [$0] } ?? []
        for (name, value) in settings {
            // A backslash keeps a space or a backslash within its word.
            words.append("-c \(name)=" + value.flatMap { $0 == " " || $0 == "\\" ? ["\\", $0] : [$0] })
        }
        parameters["options"] = words.joined(separator: " ")
    }

    /// Replaces the password, and the password file. `false` if libpq would not take it as it is.
    package mutating func set(password: String) -> Bool {
        guard !password.isEmpty, !password.utf8.contains(0) else { return false }
        parameters["password"] = password
        passwordFile = nil
        return true
    }

    /// The role that `target_session_attrs` asks for.
    package var target: SessionTarget {
        parameters["target_session_attrs"].flatMap(SessionTarget.init(rawValue:)) ?? .any
    }

    /// Whether libpq looks for Kerberos credentials.
    var negotiatesGSS: Bool { parameters["gssencmode"] ?? "disable" != "disable" }

    /// The parameters for a connect to one address of one server. `attributes` replaces `target_session_attrs`.
    func parameters(for server: Server, address: String?, attributes: String? = nil) -> [(String, String)] {
        var all = parameters
        if let attributes { all["target_session_attrs"] = attributes }
        all["host"] = server.host.isEmpty ? nil : server.host
        all["hostaddr"] = address
        all["port"] = server.port
        for (keyword, value) in Self.transportDefaults where all[keyword] == nil { all[keyword] = value }
        all["client_encoding"] = "UTF8"
        // Checked on each connect, because the file's permissions may change.
        if let path = passwordFile {
            all["passfile"] = PasswordFile.fault(at: path) == nil ? path : PasswordFile.nowhere
        }
        return all.map { ($0.key, $0.value) }
    }

    /// Keep-alives find dead peers of idle connections; they do not replace deadlines. GSS encryption costs a round
    /// trip, and almost no server supports it.
    private static let transportDefaults = [
        "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "5000",
        "gssencmode": "disable",
    ]

    private static func environment() -> [String: String] {
        guard let options = PQconndefaults() else { return [:] }
        defer { PQconninfoFree(options) }
        var values = values(of: options)
        // libpq's built-in default is `prefer`, which looks for Kerberos credentials without being asked to.
        if values["gssencmode"] == "prefer", getenv("PGGSSENCMODE") == nil, getenv("PGSERVICE") == nil {
            values["gssencmode"] = nil
        }
        return values
    }

    private static func parse(_ text: String) throws(PostgresError) -> [String: String] {
        if text.isEmpty { return [:] }
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            let reason = message.map { String(cString: $0) } ?? "out of memory"
            PQfreemem(message)
            throw invalid(
                "the connection string cannot be read: \(ConnectionStringDiagnosis.meaning(of: reason))",
                hint: ConnectionStringDiagnosis.hint(for: text) ?? ConnectionStringDiagnosis.form)
        }
        defer { PQconninfoFree(options) }
        if ConnectionStringDiagnosis.hasPasswordInPath(text) { throw invalid("the database's name contains an '@'") }
        let values = values(of: options)
        if values["service"] != nil {
            throw invalid(
                "service= in the connection string is not supported",
                hint: "Set PGSERVICE in the environment instead, or give host, port and dbname.")
        }
        return values
    }

    static func values(of options: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var values: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return values
    }

    /// `host`, `hostaddr` and `port` are lists of the same length; a single port applies to all servers.
    private static func servers(in parameters: [String: String]) throws(PostgresError) -> [Server] {
        func list(_ keyword: String) -> [String] {
            (parameters[keyword] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"))
        let hasHosts = parameters["host"] != nil
        let hasAddresses = parameters["hostaddr"].map { !$0.isEmpty } ?? false
        let count = hasHosts ? hosts.count : addresses.count
        if hasHosts, hasAddresses, hosts.count != addresses.count {
            throw invalid("host names \(hosts.count) servers and hostaddr \(addresses.count)")
        }
        if ports.count != 1, ports.count != count {
            throw invalid("port has \(ports.count) values for \(count) servers")
        }
        var servers: [Server] = []
        for index in 0..<count {
            let port = ports.count == 1 ? ports[0] : ports[index]
            if hasHosts, hosts[index].dropFirst().contains("@"), !hosts[index].hasPrefix("/") {
                // The part before it is the rest of a password: do not look it up or show it.
                throw invalid("the host contains an '@'")
            }
            guard port.isEmpty || UInt16(port).map({ $0 > 0 }) ?? false else {
                throw invalid("the port is not a number from 1 to 65535")
            }
            servers.append(
                Server(
                    host: hasHosts ? hosts[index] : "", address: hasAddresses ? addresses[index] : "",
                    port: port.isEmpty ? "5432" : port))
        }
        return servers
    }

    private static func loadBalances(_ value: String) throws(PostgresError) -> Bool {
        guard ["disable", "random"].contains(value) else {
            throw invalid(
                "the connection settings cannot be used: invalid \(LoadBalancing.keyword) value",
                hint: "Use disable or random.")
        }
        return value == "random"
    }

    private static let unconfigured = "no database is configured"

    private static var isConfiguredByEnvironment: Bool {
        ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"].contains(where: { (name: String) in
            getenv(name).map { $0.pointee != 0 } ?? false
        })
    }

    /// Without `user`, libpq takes the process's user, and fails with "local user with ID 12345 does not exist" if that
    /// has no name, as in containers.
    static func checkUser(in parameters: [String: String], isConfigured: Bool) throws(PostgresError) {
        guard parameters["user"] ?? "" == "", getenv("PGSERVICE") == nil else { return }
        guard isConfigured else {
            throw invalid(unconfigured, hint: "Set DATABASE_URL: postgres://user:password@host:port/database.")
        }
        throw invalid(
            "no user is configured, and the process's user has no name", hint: "Name one in DATABASE_URL or PGUSER.")
    }

    private static func invalid(_ message: String, hint: String? = nil) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.conninfo, message: message, hint: hint, disposition: .configuration,
            wasNeverSent: true)
    }
}

extension ConnectionConfiguration: CustomStringConvertible {
    /// Servers, database and user, for the log; never the password.
    public var description: String {
        if problem != nil { return "an invalid connection string" }
        let names = servers.map(\.name).joined(separator: ", ")
        return
            "database \(parameters["dbname"] ?? parameters["user"] ?? "?") as \(parameters["user"] ?? "?") on \(names)"
    }
}
