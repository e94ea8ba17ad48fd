internal import CLibPQ
internal import CLinux
package import DispatchLoop
internal import Glibc

/// Resolves host names off the loop.
///
/// `getaddrinfo` cannot be cancelled, and blocks for half a minute or longer when name servers are silent. Each look-up
/// has its own thread. Callers that ask for the same name share a look-up, so a stalled resolver holds ``limitPerName``
/// threads per name, and at most ``limit`` in total.
///
/// The C library repeats an unanswered query after 5 s by default; here it does so each second, with the same total
/// timeout. With a name server that was silent for 2 s, the answer came after 2.0 s instead of 5.0 s (measured). A
/// second look-up, begun ``defaultStallTimeout`` after the first, covers several name servers, each of which has its
/// second, and directories other than DNS. Further ones would find nothing sooner and cost a thread and a socket each.
@LoopActor
package final class HostResolver {
    package static let shared = HostResolver()
    /// Maximum concurrent look-ups.
    package static let limit = 32

    /// Identifies a caller's request, for ``abandon(_:)``.
    package struct RequestID: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    /// Numeric addresses, or the error.
    package typealias Resolution = Result<[String], PostgresError>

    /// Age of a look-up after which the next request starts a new one, because the old one may wait for an answer that
    /// is lost.
    package static let defaultStallTimeout = Duration.seconds(1)
    /// Maximum concurrent look-ups of one name: a stalled one and a new one.
    package static let limitPerName = 2

    /// The look-ups of one name and their callers.
    private struct LookUp {
        var callers: [(RequestID, @LoopActor (Resolution) -> Void)] = []
        var inFlight = 0
        var latestStart: MonotonicTime
    }

    private var lookUps: [String: LookUp] = [:]
    private var inFlight = 0
    private var latestRequest: UInt64 = 0
    private let stallTimeout: Duration
    private let lookUp: @Sendable (String) -> Resolution

    /// Creates a resolver. `lookUp` may block; the default is the system's.
    package init(
        stallTimeout: Duration = defaultStallTimeout, lookUp: @escaping @Sendable (String) -> Resolution = systemLookUp
    ) {
        self.stallTimeout = stallTimeout
        self.lookUp = lookUp
    }

    /// Calls `completion`, later, with the numeric addresses of `host` in the order to try them.
    package func resolve(_ host: String, completion: @escaping @LoopActor (Resolution) -> Void) -> RequestID {
        latestRequest += 1
        let request = RequestID(number: latestRequest)
        let now = MonotonicTime.now()
        var current = lookUps[host] ?? LookUp(latestStart: now - stallTimeout)
        current.callers.append((request, completion))
        let isDue = current.inFlight == 0 || now - current.latestStart >= stallTimeout
        if isDue, current.inFlight < Self.limitPerName, inFlight < Self.limit, begin(host) {
            current.inFlight += 1
            current.latestStart = now
            inFlight += 1
        }
        lookUps[host] = current
        if current.inFlight == 0 {
            EventLoop.shared.submit {
                self.complete(host, .failure(Self.failure(host, "too many look-ups are stalled already")))
            }
        }
        return request
    }

    /// Removes a caller. The look-up itself cannot be stopped.
    package func abandon(_ request: RequestID) {
        for (host, current) in lookUps where current.callers.contains(where: { $0.0 == request }) {
            lookUps[host]?.callers.removeAll { $0.0 == request }
        }
    }

    private func begin(_ host: String) -> Bool {
        let lookUp = lookUp
        return startThread {
            let resolution = lookUp(host)
            EventLoop.shared.submit { self.lookedUp(host, resolution) }
        }
    }

    private func lookedUp(_ host: String, _ resolution: Resolution) {
        inFlight -= 1
        lookUps[host]?.inFlight -= 1
        // A newer look-up is in flight and may still succeed.
        if case .failure = resolution, lookUps[host]?.inFlight ?? 0 > 0 { return }
        complete(host, resolution)
    }

    private func complete(_ host: String, _ resolution: Resolution) {
        let callers = lookUps[host]?.callers ?? []
        lookUps[host]?.callers = []
        if lookUps[host]?.inFlight == 0 { lookUps[host] = nil }
        for (_, completion) in callers { completion(resolution) }
    }

    private nonisolated static func failure(_ host: String, _ reason: String) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.nameLookup, message: "the look-up of the server's host name failed: \(reason)",
            disposition: .outage, endpoint: host, wasNeverSent: true)
    }

    /// `getaddrinfo(3)` for A and AAAA. Changes the thread's resolver settings. A name that does not exist is an
    /// outage, because the name of a stopped container does not exist either.
    package nonisolated static func systemLookUp(_ host: String) -> Resolution {
        clinux_ask_name_servers_each_second()
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

    /// Whether `host` is a numeric address, by `inet_pton(3)`.
    package nonisolated static func isNumeric(_ host: String) -> Bool {
        var address = in6_addr()
        let plain = host.split(separator: "%", omittingEmptySubsequences: false).first.map(String.init) ?? host
        return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, plain, &address) == 1
    }
}
