import PostgresTestKit

/// Something that happens to a service's database, to the way there, or to the service itself, and what
/// the service is expected to make of it.
package struct Fault: Sendable {
    /// What the service promises while it lasts. The figures are those of the project's promises.
    package enum Expectation: Sendable {
        /// Requests take longer, none fails.
        case unseen
        /// `/ping` fails: the first failing answer at most after `grace`; once that is in, but not
        /// before `established` since the fault began, 99 of 100 within `fast`; good again at most `back`
        /// after logins work.
        case outage(grace: Duration, established: Duration, fast: Duration, back: Duration)
        /// `/ping` may fail and need not; good again at most `back` after the end.
        case tolerated(back: Duration)
        /// The service itself cannot answer while it lasts. What is asked after the end is answered well.
        case absent
        /// Nobody asks `/ping`; the first one asked `back` after logins work is good at once.
        case unasked(back: Duration)
    }

    /// One word, as in `--only`.
    package let name: String
    /// What happens, as a sentence's beginning: "the database is stopped".
    package let title: String
    /// How it ends: "the database is started"; nil when the fault ends by itself.
    package let ending: String?
    package let expectation: Expectation
    /// What must stand before it can happen.
    package var setup: FaultSetup
    package let begin: @Sendable (FaultContext) async throws -> Void
    package let end: @Sendable (FaultContext) async throws -> Void

    package init(
        _ name: String, title: String, ending: String?, expecting expectation: Expectation,
        setup: FaultSetup = FaultSetup(), begin: @escaping @Sendable (FaultContext) async throws -> Void,
        end: @escaping @Sendable (FaultContext) async throws -> Void = { _ in }
    ) {
        self.name = name
        self.title = title
        self.ending = ending
        self.expectation = expectation
        self.setup = setup
        self.begin = begin
        self.end = end
    }
}

extension Fault.Expectation {
    /// An answer that needs no look at the database.
    private static let fast = Duration.milliseconds(5)

    /// Where connecting is refused at once.
    package static let refused = outage(
        grace: .milliseconds(800), established: .zero, fast: fast, back: .milliseconds(100))
    /// Where nobody answers: `/ping` has its whole deadline.
    package static let silent = outage(
        grace: .milliseconds(1050), established: .seconds(2), fast: fast, back: .milliseconds(300))
    /// Where the database refuses the service as such.
    package static let misconfigured = outage(
        grace: .milliseconds(800), established: .zero, fast: fast, back: .seconds(1))

    var established: Duration {
        if case .outage(_, let established, _, _) = self { established } else { .zero }
    }

    /// Whether `/ping` is asked while it lasts.
    var asksPing: Bool {
        if case .unasked = self { false } else { true }
    }
}

extension Fault {
    package static let stop = Fault(
        "stop", title: "the database is stopped", ending: "the database is started", expecting: .refused,
        begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() })

    package static let kill = Fault(
        "kill", title: "the database is killed with SIGKILL", ending: "the database is started",
        expecting: .refused, begin: { try await $0.database.kill() }, end: { try await $0.database.start() })

    package static let freeze = Fault(
        "freeze", title: "the database is frozen (SIGSTOP)", ending: "the database is thawed", expecting: .silent,
        setup: FaultSetup(hold: .seconds(5), quickHold: .seconds(3)), begin: { try await $0.database.freeze() },
        end: { try await $0.database.thaw() })

    package static let restart = Fault(
        "restart", title: "the database is restarted", ending: nil, expecting: .unseen,
        begin: { try await $0.database.restart() })

    /// Those that need nothing but a switch, and so can be done to any database, a container's too.
    package static let basic = [stop, kill, freeze, restart]

    /// The whole matrix.
    package static let all: [Fault] =
        [stop, stopImmediate, kill, restart, restarts, flapping] + sessions + [freeze] + network + slowness
        + boots + refusals + logIns + names + addresses + failovers + certificates + [diskFull] + ownLimits + clients
        + connectRates + [leaks]
}
