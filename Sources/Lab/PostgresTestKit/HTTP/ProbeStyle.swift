/// The requests of orchestrators and monitors, byte for byte.
package enum ProbeStyle: String, Sendable, CaseIterable {
    /// The minimum that HTTP needs.
    case plain
    /// Kubernetes' kubelet: a new connection for each probe.
    case kubernetes
    /// HAProxy's bare `option httpchk`: HTTP/1.0 without `Host`.
    case haproxy
    /// A cloud's load balancer that keeps its connections.
    case loadBalancer = "load balancer"
    /// An uptime monitor's `HEAD`.
    case head

    func request(_ path: String, authority: String, keepsConnection: Bool) -> String {
        let connection = keepsConnection ? "keep-alive" : "close"
        let lines =
            switch self {
            case .plain: ["GET \(path) HTTP/1.1", "Host: \(authority)", "Connection: \(connection)"]
            case .kubernetes:
                [
                    "GET \(path) HTTP/1.1", "Host: \(authority)", "User-Agent: kube-probe/1.34", "Accept: */*",
                    "Connection: close",
                ]
            case .haproxy: ["OPTIONS \(path) HTTP/1.0"]
            case .loadBalancer:
                [
                    "GET \(path) HTTP/1.1", "host: \(authority)", "user-agent: GoogleHC/1.0",
                    "connection: \(connection)",
                ]
            case .head:
                ["HEAD \(path) HTTP/1.1", "Host: \(authority)", "User-Agent: monitor", "Connection: \(connection)"]
            }
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    var hasBody: Bool { self != .head }
}
