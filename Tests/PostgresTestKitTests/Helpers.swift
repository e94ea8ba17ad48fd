import Glibc
import PostgresTestKit
import Subprocess

/// Logs in over TCP as a service does, and returns the role and the database.
@discardableResult
func login(_ url: String, _ sql: String = "select current_user || '@' || current_database()") async throws -> String {
    let result = try await Subprocess.run(
        .name("psql"), arguments: ["--no-psqlrc", "-At", "--dbname=\(url)", "--command=\(sql)"],
        output: .string(limit: 65_536), error: .string(limit: 65_536))
    guard result.terminationStatus.isSuccess else { throw SandboxError(.commandFailed, result.standardError) }
    return result.standardOutput.split(separator: "\n").joined(separator: "\n")
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Whether a server without SO_REUSEADDR could bind the port.
func canBind(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    return IPv4Address.loopback.with(port) { bind(descriptor, $0, $1) == 0 }
}
