import ArgumentParser
import Benchmarks
import DispatchLoop
import PostgresTestKit

/// The load balancer's benchmark: a pool that grows with the load and shrinks after it.
struct BalancerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "balancer",
        abstract: "Runs 10,000 × select pg_sleep(1) through a pool of 10 to 100 connections, all asked for at once.",
        discussion: "Exit status 1: an answer or a connection was lost, or the pool did not shrink again.")

    @Option(help: "How many queries.")
    var queries = 10_000

    @Option(help: "How long each takes at the server, in seconds.")
    var work = 1.0

    @Option(help: "Connections that are always there.")
    var minimum = 10

    @Option(help: "The most connections.")
    var maximum = 100

    func validate() throws {
        guard queries > 0, work > 0, minimum >= 0, maximum >= max(minimum, 1) else {
            throw ValidationError("there must be queries and work, and 0 ≤ minimum ≤ maximum")
        }
    }

    func run() async throws {
        try await LabExit.run {
            var plan = Balancer.Plan()
            plan.queries = queries
            plan.work = .microseconds(Int64(work * 1e6))
            plan.minimum = minimum
            plan.maximum = maximum
            plan.limit = plan.floor * 3 + .seconds(60)
            let settings = ["max_connections": "\(maximum + 20)"]
            try await PostgresSandbox.withSandbox(SandboxConfiguration(settings: settings)) { [plan] sandbox in
                let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
                let report = await Balancer(plan, databaseURL: url).run()
                try show(report, plan)
            }
        }
    }

    private func show(_ report: Balancer.Report, _ plan: Balancer.Plan) throws {
        func seconds(_ duration: Duration?, _ digits: Int = 2) -> String {
            Figure.fixed(duration.map { Double($0.nanoseconds) / 1e9 }, digits) + " s"
        }
        for line in PoolChart.lines(report.samples, maximum: plan.maximum) { Terminal.say(line) }
        Terminal.say()
        Terminal.say("all answered after \(seconds(report.time)); the floor is \(seconds(plan.floor))")
        Terminal.say("\(plan.maximum) connections after \(seconds(report.timeToMaximum, 3))")
        Terminal.say("\(plan.minimum) again \(seconds(report.timeToMinimum)) after the last answer")
        Terminal.say(
            "opened \(report.opened), closed as idle \(report.closedIdle), lost \(report.lost); answered \(report.answered)"
        )
        for failure in report.failures { Terminal.say("failed: \(failure)") }
        guard report.answered == plan.queries, report.lost == 0, report.timeToMinimum != nil else {
            throw ExitCode(1)
        }
    }
}
