/// Something that happens to a database, and what a service is expected to make of it.
package struct Fault: Sendable {
    /// What the service promises while it lasts. The figures are those of the project's promises.
    package enum Expectation: Sendable {
        /// Requests take longer, none fails.
        case unseen
        /// `/ping` fails: the first failing answer at most after `grace`; once that is in, but not
        /// before `established` since the fault began, each within `fast`; good again at most `back`
        /// after logins work.
        case outage(grace: Duration, established: Duration, fast: Duration, back: Duration)
    }

    /// One word, as in `--only`.
    package let name: String
    /// What happens, as a sentence's beginning: "the database is stopped".
    package let title: String
    /// How it ends: "the database is started"; nil when the fault ends by itself.
    package let ending: String?
    package let expectation: Expectation
    let begin: @Sendable (any DatabaseControl) async throws -> Void
    let end: @Sendable (any DatabaseControl) async throws -> Void

    package init(
        _ name: String, title: String, ending: String?, expecting expectation: Expectation,
        begin: @escaping @Sendable (any DatabaseControl) async throws -> Void,
        end: @escaping @Sendable (any DatabaseControl) async throws -> Void = { _ in }
    ) {
        self.name = name
        self.title = title
        self.ending = ending
        self.expectation = expectation
        self.begin = begin
        self.end = end
    }

    /// An answer that needs no look at the database; the margin above the 5 ms of the promise is for
    /// the scheduler of a busy machine.
    private static let fast = Duration.milliseconds(50)

    package static let stop = Fault(
        "stop", title: "the database is stopped", ending: "the database is started",
        expecting: .outage(
            grace: .milliseconds(800), established: .zero, fast: fast, back: .milliseconds(100)),
        begin: { try await $0.stop(.fast) }, end: { try await $0.start() })

    package static let kill = Fault(
        "kill", title: "the database is killed with SIGKILL", ending: "the database is started",
        expecting: .outage(
            grace: .milliseconds(800), established: .zero, fast: fast, back: .milliseconds(100)),
        begin: { try await $0.kill() }, end: { try await $0.start() })

    package static let freeze = Fault(
        "freeze", title: "the database is frozen (SIGSTOP)", ending: "the database is thawed",
        expecting: .outage(
            grace: .milliseconds(1050), established: .seconds(2), fast: fast, back: .milliseconds(300)),
        begin: { try await $0.freeze() }, end: { try await $0.thaw() })

    package static let restart = Fault(
        "restart", title: "the database is restarted", ending: nil, expecting: .unseen,
        begin: { try await $0.restart() })

    package static let all = [stop, kill, freeze, restart]
}

extension Fault.Expectation {
    var established: Duration {
        if case .outage(_, let established, _, _) = self { established } else { .zero }
    }
}
