import ArgumentParser
import Benchmarks
import DispatchLoop
import FaultLab
import PostgresTestKit

/// A pool that grows with the load and shrinks after it.
struct BalancerCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "balancer",
        abstract: "Sends 10,000 × select pg_sleep(1) at once through a pool of 10 to 100 connections.",
        discussion: "Exit status 1: an answer or a connection was lost, or the pool did not shrink again.")

    @Option(help: "The number of queries.")
    var queries = 10_000

    @Option(help: "The time of each query at the server, in seconds.")
    var work = 1.0

    @Option(help: "The pool's minimum.")
    var minimum = 10

    @Option(help: "The pool's maximum.")
    var maximum = 100

    func validate() throws {
        guard queries > 0, work > 0, minimum >= 0, maximum >= max(minimum, 1) else {
            throw ValidationError("--queries and --work are above zero, and 0 ≤ --minimum ≤ --maximum")
        }
    }

    func perform() async throws {
        var plan = Balancer.Plan()
        plan.queries = queries
        plan.work = .seconds(option: work)
        plan.minimum = minimum
        plan.maximum = maximum
        plan.limit = plan.floor * 3 + .seconds(60)
        let settings = ["max_connections": "\(maximum + 20)"]
        let report = try await PostgresSandbox.withSandbox(SandboxConfiguration(settings: settings)) { [plan] sandbox in
            await Balancer(plan, databaseURL: sandbox.connectionURL(parameters: ["sslmode": "disable"])).run()
        }
        func seconds(_ duration: Duration?, _ digits: Int = 2) -> String {
            Figure.fixed(duration.map { Double($0.nanoseconds) / 1e9 }, digits) + " s"
        }
        for line in PoolChart.lines(report.samples, maximum: maximum) { Terminal.print(line) }
        Terminal.print()
        Terminal.print("all answered after \(seconds(report.time)); the floor is \(seconds(plan.floor))")
        Terminal.print("\(maximum) connections after \(seconds(report.timeToMaximum, 3))")
        Terminal.print("opened \(report.opened), closed \(report.closedIdle) idle connections")
        for failure in report.failures { Terminal.print("failed: \(failure)") }
        try Reporter.finish([
            Check(isKept: report.answered == queries, text: "\(report.answered) of \(queries) queries answered"),
            Check(isKept: report.lost == 0, text: "\(report.lost) connections lost (none may)"),
            Check(
                isKept: report.timeToMinimum != nil,
                text: "\(minimum) connections again \(seconds(report.timeToMinimum)) after the last answer"),
        ])
    }
}
