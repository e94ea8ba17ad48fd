internal import CLibPQ
import Glibc

/// Where the database is and how to log in: libpq's connection parameters (PostgreSQL manual, 34.1.2).
///
/// What the connection string leaves out is taken from libpq's environment variables (`PGHOST`, `PGPASSWORD` …) when
/// the value is made. A string that cannot be parsed makes a configuration with a ``problem``, with which every
/// connect fails: a service is to start and say so, not to die.
public struct ConnectionConfiguration: Sendable {
    /// The parameters that are set, by keyword. May hold the password.
    package private(set) var parameters: [String: String]
    /// Why no connection can be made with this configuration; `nil` when one can be tried.
    public private(set) var problem: PostgresError?

    /// What is wrong with the settings and keeps nobody from connecting: one line each, for the log.
    package private(set) var warnings: [String] = []
    /// Where libpq would look for a password; `nil` when it has one.
    private var passwordFile: String?

    /// One server of the list, as given.
    package struct Server: Hashable, Sendable {
        /// A name, a numeric address, the folder of a Unix socket, or empty for libpq's default.
        package var host: String
        /// A numeric address that needs no look-up; empty when there is none.
        package var address: String
        package var port: String

        package var isUnixSocket: Bool {
            address.isEmpty && (host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@"))
        }

        /// For the log.
        package var name: String {
            host.isEmpty && address.isEmpty ? "local socket" : "\(host.isEmpty ? address : host):\(port)"
        }
    }

    /// The servers to try, in order; never empty unless there is a ``problem``.
    package private(set) var servers: [Server] = []

    /// A configuration from a URI (`postgres://user:password@host:port/database`) or from `keyword=value` pairs. An empty
    /// string leaves everything to the environment.
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
            // libpq 16 has a default for it.
            let own = parameters.removeValue(forKey: LoadBalancing.keyword)
            loadBalancesHosts = try Self.loadBalances(balancing ?? LoadBalancing.environment ?? own ?? "disable")
            if !isConfigured { warnings.append("\(Self.unconfigured): trying a server on this machine") }
            passwordFile = PasswordFile.path(in: parameters)
            if let path = passwordFile, let fault = PasswordFile.fault(at: path) {
                warnings.append("the password file \(path) is ignored: \(fault)")
            }
        } catch {
            problem = error
            problem?.hint = error.hint ?? ConnectionStringError.hint(for: connectionString)
        }
    }

    /// The value of a parameter, such as `dbname`. The password is not given out.
    public subscript(keyword: String) -> String? {
        keyword == "password" ? nil : parameters[keyword]
    }

    /// Whether each attempt goes through servers and addresses in an order of its own: `load_balance_hosts=random`.
    private(set) var loadBalancesHosts = false

    /// Sets a parameter unless the connection string or the environment has.
    package mutating func setDefault(_ value: String, for keyword: String) {
        if parameters[keyword] == nil { parameters[keyword] = value }
    }

    /// Whether a session must be able to write: `target_session_attrs` is `read-write` or `primary`.
    package var requiresReadWrite: Bool {
        ["read-write", "primary"].contains(parameters["target_session_attrs"] ?? "any")
    }

    /// Whether a standby is to be preferred: `target_session_attrs=prefer-standby`.
    var prefersStandby: Bool { parameters["target_session_attrs"] == "prefer-standby" }

    /// Whether libpq is to look for Kerberos credentials.
    var negotiatesGSS: Bool { parameters["gssencmode"] ?? "disable" != "disable" }

    /// The parameters for one connect to one address of one server. `attributes` stands in for `target_session_attrs`.
    func parameters(for server: Server, address: String?, attributes: String? = nil) -> [(String, String)] {
        var all = parameters
        if let attributes { all["target_session_attrs"] = attributes }
        all["host"] = server.host.isEmpty ? nil : server.host
        all["hostaddr"] = address
        all["port"] = server.port
        for (keyword, value) in Self.transportDefaults where all[keyword] == nil { all[keyword] = value }
        all["client_encoding"] = "UTF8"
        // Each time: it may have been mended meanwhile, or spoilt.
        if let path = passwordFile {
            all["passfile"] = PasswordFile.fault(at: path) == nil ? path : PasswordFile.nowhere
        }
        return all.map { ($0.key, $0.value) }
    }

    /// Keep-alives find half-open peers that nobody is talking to; they do not replace deadlines. GSS encryption costs a
    /// round trip that next to no server answers with yes.
    private static let transportDefaults = [
        "keepalives_idle": "5", "keepalives_interval": "2", "keepalives_count": "3", "tcp_user_timeout": "5000",
        "gssencmode": "disable", "fallback_application_name": "daruma",
    ]

    private static func environment() -> [String: String] {
        guard let options = PQconndefaults() else { return [:] }
        defer { PQconninfoFree(options) }
        var values = values(of: options)
        // libpq's own default is among them, which looks for Kerberos: nobody has asked for it.
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
                "the connection string cannot be read: \(ConnectionStringError.meaning(of: reason))",
                hint: ConnectionStringError.hint(for: text) ?? ConnectionStringError.form)
        }
        defer { PQconninfoFree(options) }
        if ConnectionStringError.hasPasswordInPath(text) { throw invalid("the database's name has an '@' in it") }
        let values = values(of: options)
        if values["service"] != nil {
            throw invalid(
                "service= in the connection string is not supported",
                hint: "Set PGSERVICE in the environment instead, or give host, port and dbname.")
        }
        return values
    }

    private static func values(of options: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var values: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { values[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return values
    }

    /// `host`, `hostaddr` and `port` are lists of the same length; a single port stands for all.
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
                // What stands before it is the rest of a password: neither to be looked up nor to be shown.
                throw invalid("the host has an '@' in it")
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
                hint: "It is disable or random.")
        }
        return value == "random"
    }

    private static let unconfigured = "no database is configured"

    private static var isConfiguredByEnvironment: Bool {
        ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"].contains(where: { (name: String) in
            getenv(name).map { $0.pointee != 0 } ?? false
        })
    }

    /// Without a user libpq takes the process's own, and fails with "local user with ID 12345 does not exist" where that
    /// has no name, as in containers.
    static func checkUser(in parameters: [String: String], isConfigured: Bool) throws(PostgresError) {
        guard parameters["user"] ?? "" == "", getenv("PGSERVICE") == nil else { return }
        guard isConfigured else {
            throw invalid(unconfigured, hint: "Set DATABASE_URL: postgres://user:password@host:port/database.")
        }
        throw invalid(
            "no user is configured, and the process's own has no name", hint: "Name one in DATABASE_URL or PGUSER.")
    }

    private static func invalid(_ message: String, hint: String? = nil) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.conninfo, message: message, hint: hint, disposition: .configuration,
            wasNeverSent: true)
    }
}

extension ConnectionConfiguration: CustomStringConvertible {
    /// For the log: servers, database and user; never the password.
    public var description: String {
        if problem != nil { return "an invalid connection string" }
        let names = servers.map(\.name).joined(separator: ", ")
        return
            "database \(parameters["dbname"] ?? parameters["user"] ?? "?") as \(parameters["user"] ?? "?") on \(names)"
    }
}
