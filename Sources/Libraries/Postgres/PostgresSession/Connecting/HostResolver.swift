internal import CLibPQ
internal import CLinux
package import DispatchLoop
internal import Glibc

/// Name look-up off the loop.
///
/// `getaddrinfo` blocks, for half a minute and more when name servers are silent, and cannot be cancelled. Each look-up
/// has a thread of its own for as long as it takes; callers that ask for a name already being looked up share its
/// answer, so that a stalled resolver holds ``limitPerName`` threads for each name, and no more than ``limit`` in all.
///
/// A stalled look-up hears of a name server's return when it asks again. The C library does so after 5 s by default; here
/// it asks each second, for as long in all. With a name server that was silent for 2 s the answer was there after 5.0 s
/// with the default and after 2.0 s so, and nothing is left of an outage of name servers a second after its end. Where
/// that is not enough – several name servers, each of which has its second; a directory that is not DNS – a second
/// look-up, begun when the first has taken ``standardPatience``, finds the answer. More than that find nothing sooner, and hold a
/// thread and a socket each.
@LoopActor
package final class HostResolver {
    package static let shared = HostResolver()
    /// The most look-ups at a time.
    package static let limit = 32

    /// Names a caller's wish, so that it can be taken back.
    package struct RequestID: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    package typealias Answer = Result<[String], PostgresError>

    /// How long a look-up may take before somebody who asks again gets a fresh one: what the first waits for may be a name
    /// server that has come back long since.
    package static let standardPatience = Duration.seconds(1)
    /// The most look-ups of one name at a time: one that may have stalled, and a fresh one.
    package static let limitPerName = 2

    /// A name that is being looked up, perhaps more than once.
    private struct LookUp {
        var callers: [(RequestID, @LoopActor (Answer) -> Void)] = []
        var inFlight = 0
        var latestStart: MonotonicTime
    }

    private var lookUps: [String: LookUp] = [:]
    private var inFlight = 0
    private var nextTicket: UInt64 = 0
    private let patience: Duration
    private let lookUp: @Sendable (String) -> Answer

    /// A resolver that asks `lookUp`, which may block; the system's by default.
    package init(
        patience: Duration = standardPatience, lookUp: @escaping @Sendable (String) -> Answer = systemLookUp
    ) {
        self.patience = patience
        self.lookUp = lookUp
    }

    /// Calls `completion`, later, with the numeric addresses of `host`, in the order in which they should be tried.
    package func resolve(_ host: String, completion: @escaping @LoopActor (Answer) -> Void) -> RequestID {
        nextTicket += 1
        let ticket = RequestID(number: nextTicket)
        let now = MonotonicTime.now()
        var current = lookUps[host] ?? LookUp(latestStart: now - patience)
        current.callers.append((ticket, completion))
        let isDue = current.inFlight == 0 || now - current.latestStart >= patience
        if isDue, current.inFlight < Self.limitPerName, inFlight < Self.limit, begin(host) {
            current.inFlight += 1
            current.latestStart = now
            inFlight += 1
        }
        lookUps[host] = current
        if current.inFlight == 0 {
            EventLoop.shared.submit {
                self.answer(host, .failure(Self.failure(host, "too many look-ups are stalled already")))
            }
        }
        return ticket
    }

    /// The caller no longer wants the answer. The look-up itself goes on; it cannot be stopped.
    package func abandon(_ ticket: RequestID) {
        for (host, current) in lookUps where current.callers.contains(where: { $0.0 == ticket }) {
            lookUps[host]?.callers.removeAll { $0.0 == ticket }
        }
    }

    private func begin(_ host: String) -> Bool {
        let lookUp = lookUp
        return startThread {
            let answer = lookUp(host)
            EventLoop.shared.submit { self.finish(host, answer) }
        }
    }

    private func finish(_ host: String, _ answer: Answer) {
        inFlight -= 1
        lookUps[host]?.inFlight -= 1
        // A stalled look-up that fails in the end says less than the fresh one that is under way.
        if case .failure = answer, lookUps[host]?.inFlight ?? 0 > 0 { return }
        self.answer(host, answer)
    }

    private func answer(_ host: String, _ answer: Answer) {
        let callers = lookUps[host]?.callers ?? []
        lookUps[host]?.callers = []
        if lookUps[host]?.inFlight == 0 { lookUps[host] = nil }
        for (_, completion) in callers { completion(answer) }
    }

    private nonisolated static func failure(_ host: String, _ reason: String) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.nameLookup, message: "the server's host name could not be looked up: \(reason)",
            disposition: .outage, endpoint: host, wasNeverSent: true)
    }

    /// `getaddrinfo(3)`, for A and AAAA together. Changes how this thread asks name servers. A name that does not exist is an outage like any other: a stopped container's does not.
    package nonisolated static func systemLookUp(_ host: String) -> Answer {
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

    /// Whether `host` is an address already, as `inet_pton(3)` reads it.
    package nonisolated static func isNumeric(_ host: String) -> Bool {
        var address = in6_addr()
        let plain = host.split(separator: "%", omittingEmptySubsequences: false).first.map(String.init) ?? host
        return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, plain, &address) == 1
    }
}
