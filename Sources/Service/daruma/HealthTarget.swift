import DarumaService
import DispatchLoop
import Glibc

/// The URL of a health check, and one blocking request to it with a deadline.
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

    /// Returns the status of the answer.
    func ask(deadline: MonotonicTime) -> Result<Int, Failure> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, port, &hints, &list)
        guard status == 0, let first = list else {
            return .failure(Failure(description: String(cString: gai_strerror(status))))
        }
        defer { freeaddrinfo(list) }
        var failure = Failure(description: "no address")
        for address in sequence(first: first, next: { $0.pointee.ai_next }) {
            do {
                return .success(try ask(address.pointee, deadline))
            } catch {
                failure = error
            }
        }
        return .failure(failure)
    }

    private func ask(_ address: addrinfo, _ deadline: MonotonicTime) throws(Failure) -> Int {
        let kind = address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, kind, address.ai_protocol)
        guard descriptor >= 0 else { throw Self.systemFailure(errno) }
        defer { close(descriptor) }
        if connect(descriptor, address.ai_addr, address.ai_addrlen) != 0 {
            guard errno == EINPROGRESS else { throw Self.systemFailure(errno) }
            try wait(descriptor, Int16(POLLOUT), deadline)
            var error: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length)
            if error != 0 { throw Self.systemFailure(error) }
        }
        let name = host.contains(":") ? "[\(host)]" : host
        let request = "GET \(path) HTTP/1.1\r\nHost: \(name):\(port)\r\nConnection: close\r\n\r\n"
        // Fits into any socket buffer, so send(2) takes all of it.
        guard send(descriptor, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else {
            throw Self.systemFailure(errno)
        }
        var head: [UInt8] = []
        // Only "HTTP/1.1 200" matters.
        while head.count < 12 {
            try wait(descriptor, Int16(POLLIN), deadline)
            var buffer = [UInt8](repeating: 0, count: 512)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { throw Failure(description: "server closed the connection without a response") }
            if count < 0, errno != EAGAIN, errno != EINTR { throw Self.systemFailure(errno) }
            head.append(contentsOf: buffer.prefix(max(count, 0)))
        }
        let text = String(decoding: head.prefix(12), as: UTF8.self)
        guard text.hasPrefix("HTTP/1."), let status = Int(text.suffix(3)) else {
            throw Failure(description: "not an HTTP/1 response")
        }
        return status
    }

    private func wait(_ descriptor: Int32, _ events: Int16, _ deadline: MonotonicTime) throws(Failure) {
        while true {
            let left = deadline - .now()
            guard left > .zero else { throw Failure(description: "timed out") }
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            let count = poll(&entry, 1, Int32(min(left.wholeMilliseconds + 1, 1 << 30)))
            if count > 0 { return }
            if count < 0, errno != EINTR { throw Self.systemFailure(errno) }
        }
    }

    private static func systemFailure(_ number: Int32) -> Failure {
        Failure(description: String(cString: strerror(number)))
    }
}
