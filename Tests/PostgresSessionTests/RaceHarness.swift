import DispatchLoop

@testable import PostgresSession

/// Simulates a race against addresses of given behaviour, in virtual time.
struct RaceHarness {
    enum Behaviour {
        /// Accepts, and then establishes a session, after these delays.
        case lives(accept: Duration = .milliseconds(1), login: Duration = .milliseconds(2))
        /// Refuses the connection.
        case refuses(after: Duration = .milliseconds(1))
        /// Drops SYNs.
        case dead
        /// Accepts and sends nothing.
        case silent
        /// Accepts, and then sends this error.
        case says(PostgresError)
        /// Establishes a session, in this role.
        case primary
        case standby
    }

    enum Result: Equatable {
        case won(String)
        case failed(String)
        /// No event is left.
        case stuck
    }

    private enum Event {
        case resolved(Int, Swift.Result<[String], PostgresError>)
        case accepted(Int)
        case succeeded(Int)
        case failed(Int, PostgresError)
    }

    static let refused = PostgresError(code: "ECONNREFUSED", message: "refused", disposition: .outage)
    static let wrongRole = PostgresError(code: "WRONG_ROLE", message: "wrong role", disposition: .wrongRole)

    static func fatal(_ code: String, _ disposition: Disposition) -> PostgresError {
        PostgresError(code: code, severity: .fatal, message: code, disposition: disposition)
    }

    var world: [String: Behaviour]
    /// The addresses of each name, and the duration of the look-up. The look-up of a missing name never ends.
    var names: [String: (addresses: [String], after: Duration)] = [:]
    /// The number of sockets allowed beside the first.
    var extra = 0
    var book = AddressBook(seed: 1)
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    var prefersStandby = false
    var isShuffled = false
    var reach = Duration.seconds(5)
    var login = Duration.seconds(60)

    /// The events of the latest run.
    private(set) var opened: [(address: String, at: Duration)] = []
    private(set) var mostOpen = 0
    private(set) var closed = 0
    private(set) var took = Duration.zero
    private(set) var error: PostgresError?

    init(_ world: [String: Behaviour]) { self.world = world }

    var order: [String] { opened.map(\.address) }

    /// Runs a race to these hosts, each a name or an address, until it ends.
    mutating func run(_ hosts: [String]) -> Result {
        let servers = hosts.map { ConnectionConfiguration.Server(host: $0, address: "", port: "5432") }
        let start = now
        let limits = ConnectLimits(reachDeadline: now + reach, loginTimeout: login)
        var race = ConnectRace(
            servers: servers, prefersStandby: prefersStandby, isShuffled: isShuffled, limits: limits)
        var events: [(at: MonotonicTime, Event)] = []
        var open: [Int: String] = [:]
        var inUse = 0
        (opened, mostOpen, closed, error) = ([], 0, 0, nil)
        race.start(at: now, &book)
        while true {
            while !race.actions.isEmpty {
                switch race.actions.removeFirst() {
                case .lookUp(let server):
                    guard let name = names[hosts[server]] else { continue }
                    events.append((now + name.after, .resolved(server, .success(name.addresses))))
                case .open(let id, let target, let attributes):
                    let address = target.address ?? ""
                    open[id] = address
                    mostOpen = max(mostOpen, open.count)
                    opened.append((address, now - start))
                    events += outcome(of: id, world[address] ?? .dead, attributes)
                case .askForSocket:
                    race.permitted(open.count - 1 < extra, at: now, &book)
                case .close(let id):
                    open[id] = nil
                    closed += 1
                case .win(let id):
                    took = now - start
                    return .won(open[id] ?? "?")
                case .fail(let error):
                    took = now - start
                    self.error = error
                    return .failed(error.code)
                }
            }
            inUse = max(inUse, open.count)
            let next = events.indices.min { events[$0].at < events[$1].at }
            let wake = race.wakeAt
            if let next, events[next].at <= wake {
                let (at, event) = events.remove(at: next)
                now = max(now, at)
                switch event {
                case .resolved(let server, let answer): race.resolved(server, answer, at: now, &book)
                case .accepted(let id) where open[id] != nil: race.accepted(id, at: now, &book)
                case .succeeded(let id) where open[id] != nil: race.succeeded(id, at: now, &book)
                case .failed(let id, let error) where open[id] != nil:
                    open[id] = nil
                    race.failed(id, error, at: now, &book)
                default: break
                }
            } else if wake == .distantFuture {
                return .stuck
            } else {
                now = max(now, wake)
                race.tick(at: now, &book)
            }
        }
    }

    private func outcome(of id: Int, _ behaviour: Behaviour, _ attributes: String?) -> [(MonotonicTime, Event)] {
        let soon = now + .milliseconds(1)
        switch behaviour {
        case .lives(let accept, let login):
            return [(now + accept, .accepted(id)), (now + accept + login, .succeeded(id))]
        case .refuses(let after): return [(now + after, .failed(id, Self.refused))]
        case .dead: return []
        case .silent: return [(soon, .accepted(id))]
        case .says(let error): return [(soon, .accepted(id)), (soon + .milliseconds(1), .failed(id, error))]
        case .primary where attributes == "standby":
            return [(soon, .accepted(id)), (soon + .milliseconds(1), .failed(id, Self.wrongRole))]
        case .primary, .standby: return [(soon, .accepted(id)), (soon + .milliseconds(1), .succeeded(id))]
        }
    }
}
