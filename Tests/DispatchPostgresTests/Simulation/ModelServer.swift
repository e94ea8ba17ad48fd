import DispatchLoop
import PostgresSession

@testable import DispatchPostgres

/// A numeric model of a database server and its network.
struct ModelServer {
    /// How the server treats a new connection.
    enum Door: Hashable {
        case open
        /// Connection refused.
        case refusing
        /// The kernel accepts, but no process answers: a server stopped by SIGSTOP.
        case stuck
        /// The network drops everything.
        case unreachable
    }

    /// A phase of the server.
    struct Phase {
        var begins: MonotonicTime
        var door = Door.open
        /// The time of an answer, and the maximum of the random part on top.
        var latency = Duration.milliseconds(1)
        var jitter = Duration.zero
        /// The time of a login besides its round trips.
        var login = Duration.milliseconds(2)
        /// The number of messages in a thousand that are lost, and retransmitted after 200 ms.
        var lossPerMille = 0
        /// Whether the readers' table is locked.
        var isLocked = false
        /// Whether all sessions are reset when the phase begins.
        var resets = false
    }

    var phases: [Phase]
    let maximumSessions: Int
    /// Sessions of other pools.
    var foreignSessions = 0
    var random: SplitMix64

    func phase(at now: MonotonicTime) -> Phase { phases.last { $0.begins <= now } ?? phases[0] }

    /// When the phase at `now` ends.
    func end(of now: MonotonicTime) -> MonotonicTime {
        phases.first { $0.begins > now }?.begins ?? .distantFuture
    }

    /// When the answer to a message sent now arrives, and whether a message was retransmitted.
    mutating func answer(to now: MonotonicTime) -> (at: MonotonicTime, wasLost: Bool) {
        var time = now
        // A stuck server answers when it continues.
        while [.stuck, .unreachable].contains(phase(at: time).door) {
            let end = end(of: time)
            if end == .distantFuture { return (.distantFuture, true) }
            time = end
        }
        let phase = phase(at: time)
        let jitter = phase.jitter == .zero ? 0 : Int64.random(in: 0...phase.jitter.nanoseconds, using: &random)
        let wasLost = Int.random(in: 0..<1_000, using: &random) < phase.lossPerMille
        let took = phase.latency.nanoseconds + jitter + (wasLost ? 200_000_000 : 0)
        return (time.advanced(byNanoseconds: took), wasLost)
    }
}
