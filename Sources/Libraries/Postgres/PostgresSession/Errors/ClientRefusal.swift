/// What libpq refuses to go on with when it connects, and what to do about it: nothing that a retry mends.
///
/// The texts are those of libpq 13 to 18, fe-auth.c, fe-auth-scram.c, fe-connect.c, fe-secure-openssl.c and
/// fe-secure-gssapi.c. Those of OpenSSL are its 3.0's.
struct ClientRefusal {
    /// What identifies it in libpq's text.
    let pattern: String
    let code: String
    let message: String
    let hint: String
    /// Whether libpq's own words are worth repeating: they name the method, the algorithm or the file's fault.
    var isQuoted = false

    /// The refusal that `text` is, if it is one. The more specific ones stand first.
    static func found(in text: String) -> ClientRefusal? {
        // Kerberos' own server is away: somebody starts it again.
        if text.contains("Cannot contact any KDC") || text.contains("Cannot resolve network address for KDC") {
            return nil
        }
        return all.first { text.contains($0.pattern) }
    }

    /// A file or a setting on this side. libpq finds it before it has said a word to the server, and with
    /// `sslmode=prefer` goes on in the clear; what a server then says of that (no pg_hba entry) is a consequence.
    static func ownSetting(in text: String) -> ClientRefusal? {
        ownSettings.first { text.contains($0.pattern) }
    }

    private static let all = ownSettings + authentication + tls

    private static func own(_ pattern: String, _ message: String, _ hint: String) -> ClientRefusal {
        ClientRefusal(pattern: pattern, code: PostgresError.Code.conninfo, message: message, hint: hint)
    }

    private static let ownSettings: [ClientRefusal] = [
        own(
            "could not open certificate file",
            "the file of the client certificate cannot be looked for: no permission",
            "libpq looks into $HOME/.postgresql: set HOME to a folder that the service's user can search, or name the "
                + "file in sslcert."),
        own(
            "could not read certificate file", "the file of the client certificate cannot be read",
            "Look at sslcert and at the permissions of its file."),
        own(
            "certificate present, but not private key file", "there is a client certificate, and no key to it",
            "Name the key in sslkey, or put it into $HOME/.postgresql/postgresql.key."),
        own(
            "could not stat private key file", "the key of the client certificate cannot be looked for",
            "Look at sslkey and at the permissions of the folders on the way to its file."),
        own(
            "could not load private key file", "the key of the client certificate cannot be read",
            "Look at sslkey, sslpassword and the permissions of the file."),
        own(
            "certificate does not match private key", "the client certificate and its key do not belong together",
            "Look at sslcert and sslkey."),
        own(
            "private key file \"", "the key of the client certificate cannot be used",
            "Its file has to be a regular one that belongs to the service's user (mode 0600) or to root (mode 0640), "
                + "and has to match the certificate."),
        own(
            "imum SSL protocol version", "the versions of TLS that are allowed cannot be used",
            "Look at ssl_min_protocol_version and ssl_max_protocol_version."),
        own(
            "could not get home directory to locate root certificate file",
            "the root certificate is not set, and the service's user has no home folder to look for it",
            "Name the file in sslrootcert."),
        // With the name of the file in between; quoted text is not searched for.
        own(
            "Either provide the file", "the file of the root certificate does not exist",
            "Name it in sslrootcert, or put it into $HOME/.postgresql/root.crt; sslmode=require does without one."),
        own(
            "could not read root certificate file", "the file of the root certificate cannot be read",
            "Look at sslrootcert, the permissions of its file, and that it is PEM."),
        own(
            "could not load system root certificate", "the system's root certificates cannot be read",
            "Install ca-certificates, or name a file in sslrootcert."),
        own(
            "could not set SSL Server Name", "the server's name cannot be used for TLS", "Look at host and sslsni."),
        own("SSL engine", "the engine that sslkey names cannot be used", "Look at sslkey."),
        own(
            "host name must be specified for a verified SSL connection",
            "sslmode=verify-full has no host name to verify", "Add host to hostaddr."),
        own(
            "GSSAPI encryption required but", "gssencmode=require cannot be kept: there are no Kerberos credentials",
            "Run kinit for the service's user, or set gssencmode=disable."),
        own(
            "may not be used with", "two settings of TLS contradict each other",
            "sslrootcert=system and sslnegotiation=direct need sslmode=verify-full or require."),
    ]

    private static func auth(_ pattern: String, _ message: String, _ hint: String, isQuoted: Bool = true)
        -> ClientRefusal
    {
        ClientRefusal(pattern: pattern, code: "28000", message: message, hint: hint, isQuoted: isQuoted)
    }

    private static let methodHint =
        "pg_hba.conf asks for a method that libpq here cannot do; for this user it has to be scram-sha-256, md5, "
        + "password, cert or trust."
    private static let channelHint =
        "channel_binding=require needs TLS (sslmode=require or more) and scram-sha-256 in pg_hba.conf."

    private static let kerberosMessage = "the server asks for Kerberos (gss), and this side cannot prove itself with it"
    private static let kerberosHint =
        "Get a ticket for the service's user (kinit), or have pg_hba.conf ask for scram-sha-256."
    private static let methodMessage = "the server asks for an authentication method that libpq does not support"
    private static let requirementMessage = "the server does not ask for what require_auth demands"
    private static let requirementHint = "Set require_auth to what pg_hba.conf asks for, or the other way round."
    private static let refusedCertificate = "the server does not accept the client certificate"
    private static let noVersion = "this side and the server have no version of TLS in common"
    private static let noCipher = "this side and the server have no cipher in common"
    private static let cipherHint = "Look at ssl_ciphers in postgresql.conf."

    private static let authentication: [ClientRefusal] = [
        ClientRefusal(
            pattern: "no password supplied", code: "28P01",
            message: "the server asks for a password and none is set",
            hint: "Set the password in the connection string, in PGPASSWORD or in a password file."),
        auth("hannel binding", "channel binding is required and cannot be had", channelHint),
        auth(
            "server offered SCRAM-SHA-256-PLUS authentication over a non-SSL",
            "the server offers channel binding without TLS", channelHint),
        // libpq 16 and later.
        auth(
            "authentication method requirement", requirementMessage, requirementHint),
        auth("server did not complete authentication", requirementMessage, requirementHint),
        auth(
            "requirepeer", "another user than requirepeer names runs the server",
            "Set requirepeer to the user that PostgreSQL runs as."),
        auth(
            "GSSAPI continuation error", kerberosMessage, kerberosHint),
        auth(
            "GSSAPI name import error", kerberosMessage, kerberosHint),
        auth(
            "could not initiate GSSAPI security context", kerberosMessage, kerberosHint),
        auth("SSPI", "the server asks for SSPI, which only Windows has", methodHint),
        auth("authentication method ", methodMessage, methodHint),
        auth("authentication not supported", methodMessage, methodHint),
        auth("SCM_CRED", methodMessage, methodHint),
        auth("none of the server's SASL authentication mechanisms", methodMessage, methodHint),
        auth("OAuth", "the server asks for OAuth, which is not set up here", methodHint),
        auth("oauth_", "the server asks for OAuth, which is not set up here", methodHint),
        auth("error received from server in SCRAM exchange", "the server broke off the exchange of SCRAM", methodHint),
        auth(
            "could not encrypt password", "the password cannot be hashed as the server asks for it",
            "MD5 is forbidden on this machine (FIPS): store the password as scram-sha-256."),
    ]

    private static func tls(_ pattern: String, _ message: String, _ hint: String) -> ClientRefusal {
        ClientRefusal(pattern: pattern, code: PostgresError.Code.tls, message: message, hint: hint, isQuoted: true)
    }

    private static let protocolHint =
        "Look at ssl_min_protocol_version and ssl_max_protocol_version, here and in postgresql.conf."
    private static let clientCertificateHint =
        "The server does not accept the client certificate, or there is none: look at sslcert and at the server's "
        + "ssl_ca_file."

    private static let tls: [ClientRefusal] = [
        tls(
            "server does not support SSL", "the server does not support TLS, and sslmode demands it",
            "Set ssl = on in postgresql.conf, or sslmode=prefer or disable here."),
        tls(
            "server doesn't support GSSAPI encryption",
            "the server does not encrypt with Kerberos, and gssencmode demands it",
            "Set gssencmode=disable."),
        tls("without ALPN", "the server is too old for sslnegotiation=direct", "Leave sslnegotiation out."),
        tls(
            "does not match host name", "the server's certificate is for another host name",
            "Use the host name that the certificate names, or sslmode=verify-ca."),
        // What the server's end says of our certificate.
        tls("alert unknown ca", refusedCertificate, clientCertificateHint),
        tls("alert bad certificate", refusedCertificate, clientCertificateHint),
        tls("alert certificate", refusedCertificate, clientCertificateHint),
        tls(
            "valid SSL certificate", "the server does not ask for the client certificate that sslcertmode demands",
            clientCertificateHint),
        tls("alert protocol version", noVersion, protocolHint),
        tls("unsupported protocol", noVersion, protocolHint),
        tls("no protocols available", noVersion, protocolHint),
        tls("alert handshake failure", noCipher, cipherHint),
        tls("alert insufficient security", noCipher, cipherHint),
        tls("no ciphers available", noCipher, cipherHint),
        tls(
            "dh key too small", "the server's keys are too weak for this machine's OpenSSL",
            "Use longer keys at the server."),
        tls(
            "certificate", "TLS certificate verification failed",
            "Look at sslrootcert, the certificate's dates, and the host name that it is for."),
    ]
}
