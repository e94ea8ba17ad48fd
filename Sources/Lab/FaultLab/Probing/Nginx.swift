package import PostgresTestKit

/// A real nginx in front of a service, with keep-alive to it. Listens on the loopback address only.
package final class Nginx: Sendable {
    package let port: UInt16
    package let process: ServiceProcess
    private let folder: TemporaryFolder

    /// Nil if nginx is not installed.
    package static let program: String? = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .first(where: Files.isExecutable)

    /// Starts nginx, and waits until it forwards requests.
    package init(before service: UInt16) async throws {
        guard let program = Self.program else { throw SandboxError(.launch, "nginx is not installed") }
        folder = try TemporaryFolder()
        port = try PortReservation.unreserved()
        let path = "\(folder.path)/nginx.conf"
        try Files.write(Self.configuration(folder: folder.path, port: port, service: service), to: path)
        process = try await ServiceProcess.start(
            [program, "-e", "stderr", "-p", folder.path, "-c", path], logPath: "\(folder.path)/nginx.log")
        do {
            try await process.waitUntilListening(on: port)
        } catch {
            _ = try? await process.stop()
            throw error
        }
    }

    static func configuration(folder: String, port: UInt16, service: UInt16) -> String {
        let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "    \($0)_temp_path \(folder)/\($0);" }.joined(separator: "\n")
        return """
            daemon off;
            pid \(folder)/nginx.pid;
            worker_processes 1;
            error_log stderr;
            events { worker_connections 1024; }
            http {
            \(scratch)
                access_log off;
                keepalive_requests 1000000000;
                upstream service {
                    server 127.0.0.1:\(service);
                    keepalive 64;
                }
                server {
                    listen 127.0.0.1:\(port);
                    location / {
                        proxy_pass http://service;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                    }
                }
            }

            """
    }
}
