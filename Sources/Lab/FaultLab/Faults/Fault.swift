import PostgresTestKit

/// A fault of a service's database, of the network between them, or of the service itself, with the expected behaviour.
package struct Fault: Sendable {
    /// The promise while the fault lasts. The figures are those of the project's promises.
    package enum Expectation: Sendable {
        /// Requests may take longer; none fails.
        case unseen
        /// `/ping` fails. The first failing answer comes within `grace`. After it, and after `established` since the
        /// beginning, 99 of 100 come within `fast`. `/ping` recovers at most `back` after logins work.
        case outage(grace: Duration, established: Duration, fast: Duration, back: Duration)
        /// `/ping` may fail. It recovers at most `back` after the end.
        case tolerated(back: Duration)
        /// The service itself cannot answer. Later requests succeed.
        case absent
        /// No client requests `/ping`. The first request, `back` after logins work, succeeds at once.
        case unasked(back: Duration)
    }

    /// One word, for `--only`.
    package let name: String
    /// The beginning of a sentence: "the database is stopped".
    package let title: String
    /// How the fault ends: "the database is started"; nil if it ends on its own.
    package let ending: String?
    package internal(set) var expectation: Expectation
    package var setup: FaultSetup
    package let begin: @Sendable (FaultContext) async throws -> Void
    package let end: @Sendable (FaultContext) async throws -> Void

    init(
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
    /// The limit for an answer that needs no database.
    private static let fast = Duration.milliseconds(5)

    /// Connects are refused at once.
    package static let refused = outage(
        grace: .milliseconds(800), established: .zero, fast: fast, back: .milliseconds(100))
    /// Connects get no answer, so `/ping` takes its whole deadline.
    package static let silent = outage(
        grace: .milliseconds(1050), established: .seconds(2), fast: fast, back: .milliseconds(300))
    /// As ``silent``, where something accepts connects meanwhile, as a proxy does. Each may be a process at the server, so
    /// that one a second must do; 50 ms more are for the login.
    package static let silentBehindAccepts = outage(
        grace: .milliseconds(1050), established: .seconds(2), fast: fast, back: .milliseconds(1050))
    /// The database rejects the service's login.
    package static let misconfigured = outage(
        grace: .milliseconds(800), established: .zero, fast: fast, back: .seconds(1))

    var established: Duration {
        if case .outage(_, let established, _, _) = self { established } else { .zero }
    }

    /// Whether clients request `/ping` while the fault lasts.
    var requestsPing: Bool {
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

    /// The faults that need only a `DatabaseControl`, and so work on a container too.
    package static let basic = [stop, kill, freeze, restart]

    /// The whole matrix.
    package static let all: [Fault] =
        [stop, stopImmediate, kill, restart, restarts, flapping] + sessions + [freeze] + network + slowness
        + boots + refusals + logins + names + addresses + failovers + patroni + certificates + [diskFull] + ownLimits
        + clients + connectRates + [leaks]
}
