import Glibc

/// The URL of a health check, and one blocking request to it.
struct HealthTarget: Equatable {
    let host: String
    let port: String
    let path: String

    /// `nil` unless `url` has the form `http://host[:port][/path]`.
    init?(_ url: String) {
        guard url.hasPrefix("http://") else { return nil }
        let rest = url.dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" }
        path = rest.count == authority.count ? "/" : String(rest.dropFirst(authority.count))
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<end])
            let tail = authority[authority.index(after: end)...]
            port = tail.isEmpty ? "80" : String(tail.dropFirst())
        } else {
            let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
            host = parts.first.map(String.init) ?? ""
            port = parts.count > 1 ? String(parts[1]) : "80"
            guard parts.count <= 2 else { return nil }
        }
        guard !host.isEmpty, UInt16(port) != nil, path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Returns the status of the answer. Blocks as long as the resolver and the service do.
    func ask() throws(Failure) -> Int {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, port, &hints, &list)
        guard status == 0, let first = list else { throw Failure(description: String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(list) }
        var failure = Failure(description: "no address")
        for address in sequence(first: first, next: { $0.pointee.ai_next }) {
            do throws(Failure) {
                return try ask(address.pointee)
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func ask(_ address: addrinfo) throws(Failure) -> Int {
        let kind = address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, kind, address.ai_protocol)
        guard descriptor >= 0 else { throw Self.systemFailure() }
        defer { close(descriptor) }
        guard connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else { throw Self.systemFailure() }
        let name = host.contains(":") ? "[\(host)]" : host
        let request = "GET \(path) HTTP/1.1\r\nHost: \(name):\(port)\r\nConnection: close\r\n\r\n"
        // Fits into any socket buffer, so send(2) takes all of it.
        guard send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else {
            throw Self.systemFailure()
        }
        // Only "HTTP/1.1 200" matters.
        var head = [UInt8](repeating: 0, count: 12)
        let count = recv(descriptor, &head, head.count, Int32(MSG_WAITALL))
        guard count >= 0 else { throw Self.systemFailure() }
        guard count == head.count else {
            throw Failure(description: "server closed the connection without a response")
        }
        let text = String(decoding: head, as: UTF8.self)
        guard text.hasPrefix("HTTP/1."), let status = Int(text.suffix(3)) else {
            throw Failure(description: "not an HTTP/1 response")
        }
        return status
    }

    private static func systemFailure() -> Failure { Failure(description: String(cString: strerror(errno))) }
}
