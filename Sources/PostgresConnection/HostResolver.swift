internal import CLinux
package import DispatchLoop
internal import Glibc

/// Name look-up off the loop.
///
/// `getaddrinfo` blocks, for half a minute and more when name servers are silent, and cannot be cancelled. Each look-up
/// has a thread of its own for as long as it takes; callers that ask for a name already being looked up share its
/// answer, so that a stalled resolver holds one thread for each name, and no more than ``limit`` in all.
@LoopActor
package final class HostResolver {
    package static let shared = HostResolver()
    package static let limit = 8

    /// Names a caller's wish, so that it can be taken back.
    package struct Ticket: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    package typealias Answer = Result<[String], PostgresError>

    private var waiting: [String: [(Ticket, @LoopActor (Answer) -> Void)]] = [:]
    private var nextTicket: UInt64 = 0
    private let lookUp: @Sendable (String) -> Answer

    /// A resolver that asks `lookUp`, which may block; the system's by default.
    package init(lookUp: @escaping @Sendable (String) -> Answer = systemLookUp) {
        self.lookUp = lookUp
    }

    /// Calls `completion` with the numeric addresses of `host`, in the order in which they should be tried.
    package func resolve(_ host: String, completion: @escaping @LoopActor (Answer) -> Void) -> Ticket {
        nextTicket += 1
        let ticket = Ticket(number: nextTicket)
        if waiting[host] != nil {
            waiting[host]?.append((ticket, completion))
            return ticket
        }
        guard waiting.count < Self.limit else {
            completion(.failure(Self.failure(host, "\(Self.limit) look-ups are stalled already")))
            return ticket
        }
        waiting[host] = [(ticket, completion)]
        let lookUp = lookUp
        let started = startThread {
            let answer = lookUp(host)
            EventLoop.shared.submit { self.finish(host, answer) }
        }
        if !started { finish(host, .failure(Self.failure(host, "no thread could be started"))) }
        return ticket
    }

    /// The caller no longer wants the answer. The look-up itself goes on; it cannot be stopped.
    package func abandon(_ ticket: Ticket) {
        for (host, callers) in waiting where callers.contains(where: { $0.0 == ticket }) {
            waiting[host] = callers.filter { $0.0 != ticket }
        }
    }

    private func finish(_ host: String, _ answer: Answer) {
        for (_, completion) in waiting.removeValue(forKey: host) ?? [] { completion(answer) }
    }

    private nonisolated static func failure(_ host: String, _ reason: String) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.nameLookup, message: "the server's host name could not be looked up: \(reason)",
            disposition: .outage, endpoint: host, isProvablyUnsent: true)
    }

    /// `getaddrinfo(3)`. A name that does not exist is an outage like any other: a stopped container's does not.
    package nonisolated static func systemLookUp(_ host: String) -> Answer {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            let reason = String(cString: gai_strerror(status))
            var error = failure(host, reason)
            if status == EAI_NONAME { error.code = PostgresError.Code.nameUnknown }
            return .failure(error)
        }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0
            {
                let address = String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                if !addresses.contains(address) { addresses.append(address) }
            }
            next = entry.pointee.ai_next
        }
        return addresses.isEmpty ? .failure(failure(host, "it has no address")) : .success(addresses)
    }

    /// Whether `host` is an address already, as `inet_pton(3)` reads it.
    package nonisolated static func isNumeric(_ host: String) -> Bool {
        var address = in6_addr()
        let plain = host.split(separator: "%", omittingEmptySubsequences: false).first.map(String.init) ?? host
        return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, plain, &address) == 1
    }
}
