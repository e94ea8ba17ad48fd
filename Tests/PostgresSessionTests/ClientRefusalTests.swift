import Testing

@testable import PostgresSession

@Suite("an error of libpq") struct ClientRefusalTests {
    static let prefix = #"connection to server at "127.0.0.1", port 5432 failed: "#

    private func error(_ text: String) -> PostgresError {
        LibpqMessageParser.error(in: Self.prefix + text + "\n", phase: .connecting, endpoint: nil)
    }

    @Test(
        "in a login is a configuration error with libpq's words and a hint",
        arguments: [
            "channel binding required, but SSL not in use",
            "channel binding required, but server authenticated client without channel binding",
            "channel binding required but not supported by server's authentication request",
            "channel binding is required, but server did not offer an authentication method that supports channel binding",
            "channel binding is required, but client does not support it",
            "server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection",
            "authentication method 10 not supported", "Kerberos 5 authentication not supported",
            "SCM_CRED authentication method not supported",
            "none of the server's SASL authentication mechanisms are supported",
            "GSSAPI continuation error: No credentials were supplied: No Kerberos credentials available",
            "GSSAPI name import error: something",
            "SSPI continuation error: something",
            #"authentication method requirement "scram-sha-256" failed: server requested a cleartext password"#,
            #"requirepeer specifies "postgres", but actual peer user name is "root""#,
            "could not encrypt password: unsupported",
        ])
    func authentication(text: String) {
        let error = error(text)
        #expect(error.disposition == .configuration)
        #expect(error.code == "28000")
        #expect(error.detail == LibpqMessageParser.withoutFileNames(text))
        #expect(error.hint?.isEmpty == false)
        #expect(error.severity == nil)
    }

    @Test("of Kerberos does not name the ticket file")
    func ticketFile() {
        let error = error("GSSAPI continuation error: No Kerberos credentials (default cache: FILE:/nix/krb5cc_0)")
        #expect(error.detail == "GSSAPI continuation error: No Kerberos credentials")
    }

    @Test(
        "of TLS is a configuration error",
        arguments: [
            "server does not support SSL, but SSL was required", "SSL error: certificate verify failed",
            #"server certificate for "other" does not match host name "localhost""#,
            "SSL error: tlsv1 alert unknown ca", "SSL error: tlsv1 alert protocol version",
            "SSL error: unsupported protocol", "SSL error: sslv3 alert handshake failure",
            "SSL error: tlsv13 alert certificate required",
            "server did not ask for it: connection requires a valid SSL certificate",
        ])
    func tls(text: String) {
        let error = error(text)
        #expect(error.disposition == .configuration)
        #expect(error.code == PostgresError.Code.tls)
        #expect(error.hint?.isEmpty == false)
    }

    @Test(
        "about a local file is a configuration error that names the fault and not the file",
        arguments: [
            (#"could not open certificate file "/nix/postgresql.crt": Permission denied"#, "client certificate"),
            (#"could not read certificate file "/nix/postgresql.crt": no start line"#, "client certificate"),
            (#"certificate present, but not private key file "/nix/postgresql.key""#, "has no key"),
            (#"private key file "/nix/k" has group or world access; file must have"#, "certificate's key"),
            (#"could not load private key file "/nix/k": bad decrypt"#, "cannot be read"),
            (#"certificate does not match private key file "/nix/k": mismatch"#, "do not match"),
            (
                "root certificate file \"/nix/root.crt\" does not exist\nEither provide the file or change sslmode",
                "root certificate file does not exist"
            ),
            (
                #"could not read root certificate file "/nix/r": No such file or directory"#,
                "root certificate file cannot be"
            ),
            ("could not get home directory to locate root certificate file", "no home folder"),
            ("host name must be specified for a verified SSL connection", "no host name to verify"),
        ])
    func files(text: String, words: String) {
        let error = error(text)
        #expect(error.message.contains(words))
        #expect(error.code == PostgresError.Code.conninfo)
        #expect(error.disposition == .configuration)
        #expect(error.hint?.isEmpty == false)
        #expect(!"\(error)\(error.detail ?? "")\(error.hint ?? "")".contains("/nix"))
    }

    @Test("about a local file takes precedence over the server's refusal of the unencrypted connection that follows")
    func consequence() {
        let file = #"could not open certificate file "/nix/postgresql.crt": Permission denied"# + "\n" + Self.prefix
        let refused = error(file + #"FATAL:  28000: no pg_hba.conf entry for host "127.0.0.1", no encryption"#)
        #expect(refused.code == PostgresError.Code.conninfo)
        #expect(refused.message.contains("client certificate"))
        // A server that is starting up is the cause, not the file.
        let starting = error(file + "FATAL:  57P03: the database system is starting up")
        #expect(starting.code == "57P03")
        #expect(starting.disposition == .outage)
    }

    @Test(
        "that is temporary is an outage",
        arguments: [
            "SSL SYSCALL error: Connection reset by peer", "SSL SYSCALL error: EOF detected",
            "SSL error: unexpected eof while reading", "server sent an error response during SSL exchange",
            "received invalid response to SSL negotiation: H",
            "GSSAPI continuation error: Unspecified GSS failure: Cannot contact any KDC for realm 'X'",
            "could not send SSL negotiation packet: Broken pipe",
        ])
    func outages(text: String) {
        #expect(error(text).disposition == .outage)
    }
}
