import Glibc
package import PostgresTestKit

/// A real HAProxy in front of a service. The service is the only server of several backends, each with its own check; a
/// frontend forwards requests. Listens on the loopback address only.
package final class HAProxy: Sendable {
    /// The check of a backend.
    package enum Check: String, Sendable, CaseIterable {
        /// A bare `option httpchk`: `OPTIONS / HTTP/1.0`.
        case byDefault = "default"
        case livez
        case readyz
        case primary

        /// The backend's lines besides `option httpchk`.
        var lines: [String] {
            switch self {
            case .byDefault: []
            case .livez, .readyz, .primary:
                [
                    "http-check send meth GET uri /\(rawValue) ver HTTP/1.1 hdr Host service",
                    "http-check expect status 200",
                ]
            }
        }
    }

    package let port: UInt16
    package let process: ServiceProcess
    private let folder: TemporaryFolder

    private var socketPath: String { "\(folder.path)/stats" }

    /// Nil if HAProxy is not installed.
    package static let program: String? = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"]
        .first(where: Files.isExecutable)

    /// Starts HAProxy. It checks every `interval`, and one answer changes a server's state.
    package init(before service: UInt16, every interval: Duration = .milliseconds(100)) async throws {
        guard let program = Self.program else { throw SandboxError(.launch, "haproxy is not installed") }
        folder = try TemporaryFolder()
        port = try PortReservation.unreserved()
        let path = "\(folder.path)/haproxy.cfg"
        try Files.write(
            Self.configuration(stats: "\(folder.path)/stats", port: port, service: service, interval: interval),
            to: path)
        process = try await ServiceProcess.start(
            [program, "-db", "-f", path], logPath: "\(folder.path)/haproxy.log")
        let isUp = try await Deadline(in: .seconds(20)).wait { self.states() != nil }
        guard isUp else {
            _ = try? await process.stop()
            throw SandboxError(.launch, "haproxy did not start", logTail: process.logTail)
        }
    }

    static func configuration(stats: String, port: UInt16, service: UInt16, interval: Duration) -> String {
        let milliseconds = Int(interval.fractionalMilliseconds)
        let backends = Check.allCases.map { check in
            """
            backend \(check.rawValue)
                option httpchk
                \(check.lines.joined(separator: "\n    "))
                server service 127.0.0.1:\(service) check inter \(milliseconds)ms fall 1 rise 1

            """
        }
        return """
            global
                stats socket \(stats) mode 600
            defaults
                mode http
                timeout connect 1s
                timeout check 1s
                timeout client 60s
                timeout server 60s
            frontend clients
                bind 127.0.0.1:\(port)
                default_backend default

            """ + backends.joined()
    }

    /// Whether each backend's server is up; nil if HAProxy does not reply. Blocks the thread for a moment.
    package func states() -> [Check: Bool]? {
        guard let text = try? UnixSocket.query(socketPath, "show stat -1 4 -1\n", within: .seconds(1)) else {
            return nil
        }
        let rows = text.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
        guard let heading = rows.first, let status = heading.firstIndex(of: "status") else { return nil }
        var states: [Check: Bool] = [:]
        for row in rows.dropFirst() where row.count > status {
            // `UP`, `UP 1/2`, `DOWN`, `DOWN 1/2`, `no check`.
            if let check = Check(rawValue: String(row[0])) { states[check] = row[status].hasPrefix("UP") }
        }
        return states.isEmpty ? nil : states
    }
}

/// A query to a program that listens on a Unix socket.
enum UnixSocket {
    static func query(_ path: String, _ question: String, within limit: Duration) throws -> String {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw DeadlineSocket.Failure(errno: errno) }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: Int(limit.components.seconds), tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw DeadlineSocket.Failure.other(ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, send(descriptor, question, question.utf8.count, Int32(MSG_NOSIGNAL)) > 0 else {
            throw DeadlineSocket.Failure(errno: errno)
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count > 0 {
                answer += chunk[..<count]
            } else if count == 0 {
                break
            } else if errno != EINTR {
                throw DeadlineSocket.Failure(errno: errno)
            }
        }
        return String(decoding: answer, as: UTF8.self)
    }
}
