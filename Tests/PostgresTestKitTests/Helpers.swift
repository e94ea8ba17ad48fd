import Glibc
import PostgresTestKit
import Subprocess

/// Logs in over TCP as a service would, and says as whom and where.
@discardableResult
func login(_ url: String, _ sql: String = "select current_user || '@' || current_database()") async throws -> String {
    let result = try await Subprocess.run(
        .name("psql"), arguments: ["--no-psqlrc", "-At", "--dbname=\(url)", "--command=\(sql)"],
        output: .string(limit: 65_536), error: .string(limit: 65_536))
    guard result.terminationStatus.isSuccess else { throw SandboxError(.commandFailed, result.standardError) }
    return result.standardOutput.split(separator: "\n").joined(separator: "\n")
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Whether a stranger could have the port, as a server without SO_REUSEADDR would ask for it.
func canBind(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
}
