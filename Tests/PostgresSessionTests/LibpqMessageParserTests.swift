import Testing

@testable import PostgresSession

@Suite struct LibpqMessageParserTests {
    private static let prefix = #"connection to server at "127.0.0.1", port 5432 failed: "#

    @Test(
        "the text of a failed connect gives SQLSTATE, message and disposition",
        arguments: [
            (
                prefix + "FATAL:  57P03: the database system is starting up\nLOCATION:  f, postmaster.c:2293\n",
                "57P03", "the database system is starting up", Disposition.outage
            ),
            (
                prefix
                    + "FATAL:  28P01: password authentication failed for user \"admin\"\nLOCATION:  auth_failed, auth.c:326\n",
                "28P01", "password authentication failed for user \"admin\"", .configuration
            ),
            (
                prefix + "FATAL:  3D000: database \"nix\" does not exist\n", "3D000", "database \"nix\" does not exist",
                .configuration
            ),
            (
                prefix + "FATAL:  28000: role \"x\" is not permitted to log in\n", "28000",
                "role \"x\" is not permitted to log in", .configuration
            ),
            (
                prefix + "FATAL:  53300: sorry, too many clients already\n", "53300", "sorry, too many clients already",
                .outage
            ),
            (
                prefix + "FATAL:  57P01: terminating connection due to administrator command\n", "57P01",
                "terminating connection due to administrator command", .outage
            ),
            (
                prefix + "FATAL:  55000: database \"x\" is not currently accepting connections\n", "55000",
                "database \"x\" is not currently accepting connections", .configuration
            ),
            (
                "connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: FATAL:  57P03: the database system is shutting down\n",
                "57P03", "the database system is shutting down", .outage
            ),
            (
                prefix + "SCHWERWIEGEND:  57P03: das Datenbanksystem startet\n", "57P03", "das Datenbanksystem startet",
                .outage
            ),
        ])
    func connect(text: String, code: String, message: String, disposition: Disposition) {
        let error = LibpqMessageParser.error(in: text, phase: .connecting, endpoint: "db:5432")
        #expect(error.code == code)
        #expect(error.message == message)
        #expect(error.disposition == disposition)
        #expect(error.severity == .fatal)
        #expect(error.endpoint == "db:5432")
        #expect(!"\(error)".contains(".c:"), "names a file of the server's source")
    }

    @Test("the server's detail and hint are kept, the location is dropped")
    func detail() {
        let text =
            Self.prefix
            + "FATAL:  42501: permission denied\nDETAIL:  No CONNECT.\nHINT:  Grant it.\nLOCATION:  x, y.c:1\n"
        let error = LibpqMessageParser.error(in: text, phase: .connecting, endpoint: nil)
        #expect(error.detail == "No CONNECT.")
        #expect(error.hint == "Grant it.")
        let files = Self.prefix + "FATAL:  58P01: could not open file \"global/1\": gone\n"
        #expect(!LibpqMessageParser.error(in: files, phase: .connecting, endpoint: nil).message.contains("global"))
    }

    @Test(
        "errors of the kernel and of libpq have their own words, a code and a disposition",
        arguments: [
            (
                prefix + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
                PostgresError.Code.refused, Disposition.outage
            ),
            (
                "connection to server on socket \"/nix/.s.PGSQL.5432\" failed: No such file or directory\n\tIs the server running?\n",
                PostgresError.Code.noSuchSocket, .outage
            ),
            (prefix + "Connection reset by peer\n", PostgresError.Code.reset, .outage),
            (prefix + "No route to host\n", PostgresError.Code.hostUnreachable, .outage),
            (prefix + "Network is unreachable\n", PostgresError.Code.networkUnreachable, .outage),
            (prefix + "Connection timed out\n", PostgresError.Code.timedOut, .outage),
            (
                prefix + "server closed the connection unexpectedly\n\tThis probably means\n", PostgresError.Code.ended,
                .outage
            ),
            (
                "could not translate host name \"db\" to address: Name or service not known\n",
                PostgresError.Code.nameUnknown, .outage
            ),
            (prefix + "fe_sendauth: no password supplied\n", "28P01", .configuration),
            (prefix + "server does not support SSL, but SSL was required\n", PostgresError.Code.tls, .configuration),
            (prefix + "SSL error: certificate verify failed\n", PostgresError.Code.tls, .configuration),
            (prefix + "session is read-only\n", PostgresError.Code.wrongRole, .wrongRole),
            (prefix + "server is in hot standby mode\n", PostgresError.Code.wrongRole, .wrongRole),
            ("invalid sslmode value: \"banana\"\n", PostgresError.Code.conninfo, .configuration),
            ("could not match 2 port numbers to 1 hosts\n", PostgresError.Code.conninfo, .configuration),
            ("something nobody has seen before", PostgresError.Code.connection, .outage),
            ("", PostgresError.Code.connection, .outage),
        ])
    func client(text: String, code: String, disposition: Disposition) {
        let error = LibpqMessageParser.error(in: text, phase: .connecting, endpoint: nil)
        #expect(error.code == code)
        #expect(error.disposition == disposition)
        #expect(error.severity == nil)
        #expect(!error.message.isEmpty)
        #expect(!error.message.contains("/nix"), "names a path")
        if code.hasPrefix("E"), let words = text.split(separator: "\n").first {
            #expect(words.hasSuffix(error.message) || error.message.contains("…"), "libpq's own words")
        }
    }

    @Test("quoted text, which may be a path or part of a password, is left out")
    func quotes() {
        #expect(
            LibpqMessageParser.withoutFileNames(#"could not open "/etc/key" or "x", sorry"#)
                == #"could not open "…", sorry"#)
        #expect(LibpqMessageParser.withoutFileNames(#"an open quote "secret"#) == #"an open quote "…""#)
        #expect(LibpqMessageParser.withoutFileNames(#"token: "my"hidden%zz""#) == #"token: "…""#)
        #expect(LibpqMessageParser.withoutFileNames("nothing quoted") == "nothing quoted")
    }
}

@Suite struct SQLStateTests {
    @Test(
        "only five digits and upper-case letters are an SQLSTATE",
        arguments: ["", "5700", "57P031", "57p03", "57P0 ", "ÄÖÜ12"])
    func malformed(text: String) {
        #expect(SQLState(rawValue: text) == nil)
    }

    @Test(
        "each code has its disposition in a session",
        arguments: [
            ("57P05", .fatal, Disposition.discard), ("25P03", .fatal, .discard), ("57P04", .fatal, .discard),
            ("08P01", .error, .discard), ("57P01", .fatal, .terminated), ("57P02", .fatal, .outage),
            ("57P03", .fatal, .outage), ("08006", .error, .outage), ("53300", .fatal, .outage),
            ("53200", .fatal, .outage), ("53200", .error, .statement), ("58030", .fatal, .outage),
            ("58030", .error, .statement), ("25006", .error, .wrongRole), ("28P01", .fatal, .configuration),
            ("3D000", .fatal, .configuration), ("42501", .error, .statement), ("22012", .error, .statement),
            ("23505", .error, .statement), ("42P01", .error, .statement), ("25P02", .error, .statement),
            ("40001", .error, .statement), ("40P01", .error, .statement), ("55P03", .error, .statement),
            ("57014", .error, .statement), ("53100", .error, .statement), ("53400", .error, .statement),
            ("54001", .error, .statement), ("XX000", .error, .statement), ("XX000", .fatal, .discard),
            ("XX000", .panic, .outage), ("26000", .error, .statement),
        ] as [(String, Severity, Disposition)])
    func session(code: String, severity: Severity, disposition: Disposition) throws {
        let state = try #require(SQLState(rawValue: code))
        #expect(state.disposition(severity: severity, phase: .session) == disposition)
    }

    @Test(
        "while connecting, what only a person can fix is a configuration error, and everything else an outage",
        arguments: [
            ("28P01", Disposition.configuration), ("28000", .configuration), ("3D000", .configuration),
            ("42501", .configuration), ("55000", .configuration), ("22023", .configuration), ("42704", .configuration),
            ("0A000", .configuration), ("57P04", .configuration), ("57P01", .outage), ("57P03", .outage),
            ("53300", .outage), ("53200", .outage), ("58000", .outage), ("XX000", .outage), ("08006", .outage),
        ])
    func connecting(code: String, disposition: Disposition) throws {
        let state = try #require(SQLState(rawValue: code))
        #expect(state.disposition(severity: .fatal, phase: .connecting) == disposition)
    }
}

@Suite struct PgBouncerMessageTests {
    @Test(
        "the text of PgBouncer's 08P01 gives the disposition",
        arguments: [
            ("server login has been failing, try again later (server_login_retry)", Disposition.outage),
            (
                "server login has been failing, cached error: password authentication failed for user \"admin\" "
                    + "(server_login_retry)", .outage
            ),
            ("pgbouncer cannot connect to server", .outage), ("client_login_timeout (server down)", .outage),
            ("server shutting down", .outage), ("query_wait_timeout", .outage),
            ("no more connections allowed (max_client_conn)", .outage), ("no such database: mydb", .configuration),
            ("SASL authentication failed", .configuration),
            ("unsupported startup parameter: options", .configuration), ("client_idle_timeout", .discard),
            ("query_timeout", .discard), ("something new", .discard),
        ])
    func session(message: String, disposition: Disposition) throws {
        // As libpq writes it with PQERRORS_VERBOSE.
        let error = LibpqMessageParser.error(in: "FATAL:  08P01: \(message)\n", phase: .session, endpoint: nil)
        #expect(error.message == message)
        #expect(error.disposition == disposition)
        #expect(error.endsSession)
    }

    @Test("PostgreSQL's errors are not taken for a pooler's")
    func others() {
        let text = "FATAL:  28P01: password authentication failed for user\n"
        #expect(LibpqMessageParser.error(in: text, phase: .session, endpoint: nil).code == "28P01")
        let statement = "ERROR:  42704: no such database: x\n"
        #expect(LibpqMessageParser.error(in: statement, phase: .session, endpoint: nil).disposition == .statement)
    }
}

@Suite struct ConnectionConfigurationTests {
    @Test("a URI gives server, database and user, and the description omits the password")
    func uri() {
        let configuration = ConnectionConfiguration("postgres://admin:P%40ssw0rd@db.example:5433/mydb")
        #expect(configuration.problem == nil)
        #expect(configuration.servers.map(\.name) == ["db.example:5433"])
        #expect(configuration.parameters["dbname"] == "mydb")
        #expect(configuration.parameters["password"] == "P@ssw0rd")
        #expect("\(configuration)" == "database mydb as admin on db.example:5433")
    }

    @Test("several servers have one port in common, or one each")
    func servers() {
        #expect(
            ConnectionConfiguration("host=a,b port=1 dbname=x").servers.map(\.name) == ["a:1", "b:1"])
        #expect(
            ConnectionConfiguration("postgres://a:1,b:2/x?target_session_attrs=read-write").servers.map(\.name)
                == ["a:1", "b:2"])
        #expect(ConnectionConfiguration("postgres://a:1,b:2/x?target_session_attrs=read-write").target == .readWrite)
    }

    @Test("hostaddr is used for the connect, and host for TLS")
    func addresses() throws {
        let configuration = ConnectionConfiguration("host=db.example hostaddr=127.0.0.1 dbname=x")
        let server = try #require(configuration.servers.first)
        #expect(server.host == "db.example")
        #expect(server.address == "127.0.0.1")
        let parameters = Dictionary(uniqueKeysWithValues: configuration.parameters(for: server, address: "127.0.0.1"))
        #expect(parameters["host"] == "db.example")
        #expect(parameters["hostaddr"] == "127.0.0.1")
        #expect(parameters["tcp_user_timeout"] == "5000")
    }

    @Test(
        "gssencmode is disable unless it is set",
        arguments: [("", "disable"), ("gssencmode=prefer", "prefer"), ("gssencmode=require", "require")])
    func kerberos(given: String, used: String) throws {
        let configuration = ConnectionConfiguration("host=db.example dbname=x \(given)")
        let server = try #require(configuration.servers.first)
        let parameters = Dictionary(uniqueKeysWithValues: configuration.parameters(for: server, address: nil))
        #expect(parameters["gssencmode"] == used)
    }

    @Test("a folder is a Unix socket and has no look-up")
    func unixSocket() {
        #expect(ConnectionConfiguration("host=/run/postgresql dbname=x").servers.map(\.isUnixSocket) == [true])
        #expect(ConnectionConfiguration("host=localhost dbname=x").servers.map(\.isUnixSocket) == [false])
    }

    @Test(
        "an unusable string gives a problem that does not quote it",
        arguments: [
            "nonsense", "postgres://u:hunter2%zz@h/db", "postgres://u:hunter2@h:port/db", "host=h hunter2",
            "host=a,b port=1,2,3", "host=a hostaddr=1.1.1.1,2.2.2.2", "host=h port=0", "host=h port=65536",
            "service=x", "password='hunter2", "postgres://u:P@hunter2@h:5432/db", #"postgres://u:my"hunter2%zz@h/db"#,
            #"host=h password=a b"hunter2"c"#, "postgres://u:pass/hunter2@h:5432/db", "postgres://u:/hunter2@h/db",
            "postgresql://u:54/hunter2@h/db?user=x", "postgres://u:a/b?hunter2@h/db", "postgres://u:p@[::1/hunter2",
            "postgres://u:p@[::1]hunter2/db", "postgres://u:p@h/db?a=hunter2", "postgres://u:p@h/db?user=a=hunter2",
        ])
    func problems(text: String) throws {
        let problem = try #require(ConnectionConfiguration(text).problem)
        #expect(problem.code == PostgresError.Code.conninfo)
        #expect(problem.disposition == .configuration)
        #expect(!"\(problem)\(problem.hint ?? "")".contains("hunter2"))
    }

    @Test(
        "the problem of a password that is not percent-encoded has a hint",
        arguments: [
            "postgres://u:P@ss@h:5432/db", "postgres://u:pa/ss@h:5432/db", "postgres://u:/pass@h/db",
            "postgres://u:5/pass@h/db", "postgres://u:100%@h/db",
        ])
    func encodingHint(text: String) throws {
        let problem = try #require(ConnectionConfiguration(text).problem)
        #expect(problem.hint?.contains("@ is %40, / is %2F") == true)
    }

    @Test(
        "an encoded password, and an '@' in other places, is no problem",
        arguments: [
            "postgres://u:P%40%2Fss@h:5432/d%40b", "postgres://h/db?user=a@b&application_name=c/d@e",
            "host=h password=a/b@c dbname=d@b",
        ])
    func encoded(text: String) {
        #expect(ConnectionConfiguration(text).problem == nil)
    }

    @Test(
        "connect_timeout, which is not used, has a line for the log",
        arguments: ["host=h user=u connect_timeout=3", "postgres://u@h/d?connect_timeout=3"])
    func connectTimeout(text: String) {
        let configuration = ConnectionConfiguration(text)
        #expect(configuration.problem == nil)
        #expect(configuration.warnings.contains { $0.contains("connect_timeout is not used") })
    }

    @Test("a default names the application, unless the connection string does; without it there is no name")
    func applicationName() {
        let keyword = "fallback_application_name"
        var configuration = ConnectionConfiguration("host=h user=u dbname=d")
        let names = configuration.parameters(for: configuration.servers[0], address: nil).filter { $0.0 == keyword }
        #expect(names.isEmpty)
        configuration.setDefault("service", for: keyword)
        #expect(configuration.parameters[keyword] == "service")
        var given = ConnectionConfiguration("host=h user=u dbname=d \(keyword)=given")
        given.setDefault("service", for: keyword)
        #expect(given.parameters[keyword] == "given")
    }

    @Test("each error of libpq about a connection string has words of our own")
    func meanings() {
        for (text, words) in [
            ("nonsense", "has no \"=\" after it"), ("password='x", "a quote is not closed"),
            ("hosst=h", "keyword does not exist"), ("postgres://[::1", "no closing bracket"),
            ("postgres://[]/x", "is empty"),
            ("postgres://[::1]x", "neither a port"), ("postgres://h/x?user=a=b", "a second \"=\""),
            ("postgres://h/x?user", "has no \"=\""), ("postgres://h/x?hosst=a", "after the ? does not exist"),
            ("postgres://u:1%2@h", "two hexadecimal digits"), ("postgres://u:%00@h", "%00"),
        ] {
            let message = ConnectionConfiguration(text).problem?.message ?? "no problem"
            #expect(message.contains(words), "\(text): \(message)")
        }
    }
}
