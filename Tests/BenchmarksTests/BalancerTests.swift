import Benchmarks
import PostgresTestKit
import Testing

@Suite("A small run of the balancer", .timeLimit(.minutes(2)))
struct BalancerTests {
    @Test("grows up to the maximum, answers every query, shrinks to the minimum, and loses no connection")
    func growsAndShrinks() async throws {
        var plan = Balancer.Plan()
        plan.queries = 100
        plan.work = .milliseconds(100)
        plan.minimum = 2
        plan.maximum = 20
        plan.idleTimeout = .milliseconds(200)
        plan.interval = .milliseconds(2)
        let report = try await PostgresSandbox.withSandbox { sandbox in
            await Balancer(plan, databaseURL: sandbox.connectionURL()).run()
        }
        #expect(report.answered == plan.queries)
        #expect(report.failures.isEmpty)
        #expect(report.samples.allSatisfy { $0.total <= plan.maximum })
        #expect(report.timeToMinimum != nil, "it never returned to \(plan.minimum) connections")
        // How far the pool grows before the last answer depends on the machine's speed.
        #expect(report.opened > plan.minimum && report.opened <= plan.maximum)
        #expect(report.closedIdle == report.opened - plan.minimum)
        #expect(report.lost == 0)
        #expect(report.samples.last?.total == plan.minimum)
    }
}
