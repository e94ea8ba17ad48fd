/// Errors with which libpq itself aborts a connect, and how to fix each. A retry fixes none of them.
///
/// The texts come from libpq 13 to 18 (fe-auth.c, fe-auth-scram.c, fe-connect.c, fe-secure-openssl.c,
/// fe-secure-gssapi.c) and from OpenSSL 3.0.
struct ClientRefusal {
    /// The parts of libpq's text any of which identifies the error.
    let patterns: [String]
    let code: String
    let message: String
    let hint: String
    /// Whether the error's detail quotes libpq, whose words name the method, the algorithm or the file's fault.
    var isQuoted = false

    /// The refusal in `text`, if there is one. The more specific ones come first.
    static func found(in text: String) -> ClientRefusal? {
        // The Kerberos server is down, which is temporary.
        if text.contains("Cannot contact any KDC") || text.contains("Cannot resolve network address for KDC") {
            return nil
        }
        return all.first { $0.pattern(in: text) != nil }
    }

    /// The refusal in `text` about a local file or setting, if there is one. libpq finds the fault before it talks to
    /// the server, and continues without encryption with `sslmode=prefer`; the server's error (no pg_hba entry) follows
    /// from it.
    static func ownSetting(in text: String) -> ClientRefusal? {
        ownSettings.first { $0.pattern(in: text) != nil }
    }

    /// The pattern found in `text`.
    func pattern(in text: String) -> String? { patterns.first(where: text.contains) }

    private static let all = ownSettings + authentication + tls

    private static func own(_ pattern: String, _ message: String, _ hint: String) -> ClientRefusal {
        ClientRefusal(patterns: [pattern], code: PostgresError.Code.conninfo, message: message, hint: hint)
    }

    private static let ownSettings: [ClientRefusal] = [
        own(
            "could not open certificate file",
            "the client certificate file cannot be searched for: no permission",
            "libpq searches $HOME/.postgresql: set HOME to a folder that the service's user can search, or name the "
                + "file in sslcert."),
        own(
            "could not read certificate file", "the client certificate file cannot be read",
            "Check sslcert and the permissions of its file."),
        own(
            "certificate present, but not private key file", "the client certificate has no key",
            "Name the key in sslkey, or put it into $HOME/.postgresql/postgresql.key."),
        own(
            "could not stat private key file", "the client certificate's key file cannot be searched for",
            "Check sslkey and the permissions of the folders on its path."),
        own(
            "could not load private key file", "the client certificate's key cannot be read",
            "Check sslkey, sslpassword and the permissions of the file."),
        own(
            "certificate does not match private key", "the client certificate and its key do not match",
            "Check sslcert and sslkey."),
        own(
            "private key file \"", "the client certificate's key cannot be used",
            "The key file must be a regular file owned by the service's user (mode 0600) or by root (mode 0640), "
                + "and the key must match the certificate."),
        own(
            "imum SSL protocol version", "the allowed TLS versions cannot be used",
            "Check ssl_min_protocol_version and ssl_max_protocol_version."),
        own(
            "could not get home directory to locate root certificate file",
            "no root certificate is set, and the service's user has no home folder to search",
            "Name the file in sslrootcert."),
        // libpq's first line has the file's name in the middle, so the second line identifies the error.
        own(
            "Either provide the file", "the root certificate file does not exist",
            "Name it in sslrootcert, or put it into $HOME/.postgresql/root.crt; sslmode=require needs none."),
        own(
            "could not read root certificate file", "the root certificate file cannot be read",
            "Check sslrootcert and the permissions of its file, which must be PEM."),
        own(
            "could not load system root certificate", "the system's root certificates cannot be read",
            "Install ca-certificates, or name a file in sslrootcert."),
        own(
            "could not set SSL Server Name", "the server's name cannot be used for TLS", "Check host and sslsni."),
        own("SSL engine", "the engine named in sslkey cannot be used", "Check sslkey."),
        own(
            "host name must be specified for a verified SSL connection",
            "sslmode=verify-full has no host name to verify", "Add host to hostaddr."),
        own(
            "GSSAPI encryption required but", "gssencmode=require needs Kerberos credentials, and there are none",
            "Run kinit for the service's user, or set gssencmode=disable."),
        own(
            "may not be used with", "two TLS settings contradict each other",
            "sslrootcert=system and sslnegotiation=direct need sslmode=verify-full or require."),
    ]

    private static func auth(
        _ pattern: String, or more: [String] = [], _ message: String, _ hint: String
    ) -> ClientRefusal {
        ClientRefusal(patterns: [pattern] + more, code: "28000", message: message, hint: hint, isQuoted: true)
    }

    private static let methodHint =
        "pg_hba.conf requires a method that this libpq does not support. Use scram-sha-256, md5, password, cert or "
        + "trust for this user."
    private static let channelHint =
        "channel_binding=require needs TLS (sslmode=require or stricter) and scram-sha-256 in pg_hba.conf."

    private static let authentication: [ClientRefusal] = [
        ClientRefusal(
            patterns: ["no password supplied"], code: "28P01",
            message: "the server requires a password, and none is set",
            hint: "Set the password in the connection string, in PGPASSWORD or in a password file."),
        auth("hannel binding", "channel binding is required and not available", channelHint),
        auth(
            "server offered SCRAM-SHA-256-PLUS authentication over a non-SSL",
            "the server offers channel binding without TLS", channelHint),
        // libpq 16 and later.
        auth(
            "authentication method requirement", or: ["server did not complete authentication"],
            "the server does not use the method that require_auth demands", "Make require_auth and pg_hba.conf agree."),
        auth(
            "requirepeer", "the server runs as another user than requirepeer names",
            "Set requirepeer to the user that PostgreSQL runs as."),
        auth(
            "GSSAPI continuation error",
            or: ["GSSAPI name import error", "could not initiate GSSAPI security context"],
            "the server requires Kerberos (gss), and there is no valid ticket",
            "Get a ticket for the service's user (kinit), or require scram-sha-256 in pg_hba.conf."),
        auth("SSPI", "the server requires SSPI, which only Windows has", methodHint),
        auth(
            "authentication method ",
            or: ["authentication not supported", "SCM_CRED", "none of the server's SASL authentication mechanisms"],
            "the server requires an authentication method that libpq does not support", methodHint),
        auth("OAuth", or: ["oauth_"], "the server requires OAuth, which is not set up", methodHint),
        auth("error received from server in SCRAM exchange", "the server aborted the SCRAM exchange", methodHint),
        auth(
            "could not encrypt password", "the password cannot be hashed with the server's method",
            "MD5 is forbidden on this machine (FIPS): store the password as scram-sha-256."),
    ]

    private static func tls(
        _ pattern: String, or more: [String] = [], _ message: String, _ hint: String
    ) -> ClientRefusal {
        ClientRefusal(
            patterns: [pattern] + more, code: PostgresError.Code.tls, message: message, hint: hint, isQuoted: true)
    }

    private static let clientCertificateHint =
        "The server rejects the client certificate, or there is none: check sslcert and the server's ssl_ca_file."

    private static let tls: [ClientRefusal] = [
        tls(
            "server does not support SSL", "the server does not support TLS, and sslmode demands it",
            "Set ssl = on in postgresql.conf, or sslmode=prefer or disable here."),
        tls(
            "server doesn't support GSSAPI encryption",
            "the server does not support Kerberos encryption, and gssencmode demands it",
            "Set gssencmode=disable."),
        tls("without ALPN", "the server is too old for sslnegotiation=direct", "Remove sslnegotiation."),
        tls(
            "does not match host name", "the server's certificate is for another host name",
            "Use the host name in the certificate, or sslmode=verify-ca."),
        // The server's alerts about our certificate.
        tls(
            "alert unknown ca", or: ["alert bad certificate", "alert certificate"],
            "the server rejects the client certificate", clientCertificateHint),
        tls(
            "valid SSL certificate", "the server does not request the client certificate that sslcertmode demands",
            clientCertificateHint),
        tls(
            "alert protocol version", or: ["unsupported protocol", "no protocols available"],
            "client and server have no TLS version in common",
            "Check ssl_min_protocol_version and ssl_max_protocol_version, here and in postgresql.conf."),
        tls(
            "alert handshake failure", or: ["alert insufficient security", "no ciphers available"],
            "client and server have no cipher in common", "Check ssl_ciphers in postgresql.conf."),
        tls(
            "dh key too small", "the server's keys are too weak for this machine's OpenSSL",
            "Use longer keys on the server."),
        tls(
            "certificate", "TLS certificate verification failed",
            "Check sslrootcert, and the certificate's dates and host name."),
    ]
}
