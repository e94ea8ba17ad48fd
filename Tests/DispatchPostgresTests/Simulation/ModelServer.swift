import DispatchLoop
import PostgresSession

@testable import DispatchPostgres

/// What a database server, and the way to it, do in a simulation: nothing but numbers.
struct ModelServer {
    /// What somebody meets who comes now.
    enum Door: Hashable {
        case open
        /// Connection refused.
        case refusing
        /// The kernel accepts, and nobody answers: a server that is stopped (SIGSTOP).
        case stuck
        /// Nothing comes through.
        case unreachable
    }

    /// A phase of its life.
    struct Phase {
        var begins: MonotonicTime
        var door = Door.open
        /// What an answer takes, and how much more at random.
        var latency = Duration.milliseconds(1)
        var jitter = Duration.zero
        /// What a log-in takes beside its round trips.
        var login = Duration.milliseconds(2)
        /// How many of a thousand messages are lost and sent again after 200 ms.
        var lossPerMille = 0
        /// Whether readers find their table locked.
        var isLocked = false
        /// Whether all sessions are reset as it begins.
        var resets = false
    }

    var phases: [Phase]
    let maximumSessions: Int
    /// Sessions of other pools.
    var foreignSessions = 0
    var random: SplitMix64

    func phase(at now: MonotonicTime) -> Phase { phases.last { $0.begins <= now } ?? phases[0] }

    /// When the phase that goes on at `now` ends.
    func end(of now: MonotonicTime) -> MonotonicTime {
        phases.first { $0.begins > now }?.begins ?? .distantFuture
    }

    /// When what is sent now and answered at once comes back, and whether something had to be sent again.
    mutating func answer(to now: MonotonicTime) -> (at: MonotonicTime, wasLost: Bool) {
        var time = now
        // What is held up by a server that is stuck is answered when it goes on.
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
