import Glibc
import Testing

@testable import PostgresSession

@Suite("a password file") struct PasswordFileTests {
    /// Creates a file with these permissions, and runs `body` with its path.
    private func withFile(mode: mode_t, _ body: (String) throws -> Void) throws {
        var path = Array("/tmp/pgpass-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        try #require(descriptor >= 0)
        close(descriptor)
        let name = String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer { unlink(name) }
        try #require(chmod(name, mode) == 0)
        try body(name)
    }

    private func parameters(_ configuration: ConnectionConfiguration) throws -> [String: String] {
        let server = try #require(configuration.servers.first)
        return Dictionary(uniqueKeysWithValues: configuration.parameters(for: server, address: nil))
    }

    @Test("a password that is set later replaces the configuration's and the file")
    func replaced() throws {
        var configuration = ConnectionConfiguration("host=h user=u dbname=d password=old")
        let isTaken = ["new", "", "a\0b"].map { configuration.set(password: $0) }
        #expect(isTaken == [true, false, false])
        #expect(try parameters(configuration)["password"] == "new")
        try withFile(mode: 0o600) { path throws in
            var configuration = ConnectionConfiguration("host=h user=u dbname=d passfile=\(path)")
            let isTaken = configuration.set(password: "new")
            #expect(isTaken)
            #expect(try parameters(configuration)["password"] == "new")
        }
    }

    @Test("readable only by its owner goes to libpq", arguments: [0o600, 0o400] as [mode_t])
    func good(mode: mode_t) throws {
        try withFile(mode: mode) { path throws in
            let configuration = ConnectionConfiguration("host=h user=u dbname=d passfile=\(path)")
            #expect(configuration.warnings.isEmpty)
            #expect(try parameters(configuration)["passfile"] == path)
        }
    }

    @Test("accessible to others does not go to libpq, which would print on stderr, until its mode is fixed")
    func open() throws {
        try withFile(mode: 0o640) { path throws in
            let configuration = ConnectionConfiguration("host=h user=u dbname=d passfile=\(path)")
            #expect(configuration.warnings.count == 1)
            #expect(configuration.warnings.first?.contains("0600") == true)
            #expect(try parameters(configuration)["passfile"] == PasswordFile.nowhere)
            #expect(chmod(path, 0o600) == 0)
            #expect(try parameters(configuration)["passfile"] == path)
        }
    }

    @Test("that is a folder or a device does not go to libpq; a missing one has no warning")
    func others() throws {
        for path in ["/tmp", "/dev/null"] {
            let configuration = ConnectionConfiguration("host=h user=u dbname=d passfile=\(path)")
            #expect(configuration.warnings.first?.contains("not a plain file") == true)
            #expect(try parameters(configuration)["passfile"] == PasswordFile.nowhere)
        }
        #expect(ConnectionConfiguration("host=h user=u dbname=d passfile=/nix/none").warnings.isEmpty)
        #expect(PasswordFile.fault(at: PasswordFile.nowhere) == nil)
    }

    @Test("is not checked when a password is set")
    func password() throws {
        try withFile(mode: 0o666) { path throws in
            let configuration = ConnectionConfiguration("host=h user=u password=p dbname=d passfile=\(path)")
            #expect(configuration.warnings.isEmpty)
            #expect(try parameters(configuration)["passfile"] == path)
        }
    }
}

@Suite("without a user's name") struct MissingUserTests {
    @Test("and without any setting, the problem is that no database is configured")
    func unconfigured() {
        let error = #expect(throws: PostgresError.self) {
            try ConnectionConfiguration.checkUser(in: [:], isConfigured: false)
        }
        #expect(error?.message == "no database is configured")
        #expect(error?.hint?.contains("DATABASE_URL") == true)
        #expect(error?.disposition == .configuration)
    }

    @Test("and with a database, the problem is the missing user")
    func noUser() {
        let error = #expect(throws: PostgresError.self) {
            try ConnectionConfiguration.checkUser(in: ["host": "h"], isConfigured: true)
        }
        #expect(error?.message.contains("no user is configured") == true)
        #expect(throws: Never.self) { try ConnectionConfiguration.checkUser(in: ["user": "u"], isConfigured: false) }
    }
}
