import Benchmarks
import PostgresTestKit
import Testing

@Suite("the pipeline's benchmark, a moment of it,", .timeLimit(.minutes(2)))
struct PipeliningTests {
    @Test("asks both queries in every way, gets the right answers, and has a figure for each round")
    func asksInEveryWay() async throws {
        var plan = Pipelining.Plan()
        plan.callers = 6
        plan.rounds = 2
        plan.seconds = 0.02
        plan.warmUpSeconds = 0
        plan.poolSize = 3
        let figures = try await PostgresSandbox.withSandbox { [plan] sandbox in
            let database = try #require(sandbox.server?.id)
            return try await Pipelining(plan, database: database, databaseURL: sandbox.connectionURL()).run { _ in }
        }
        let ways = Pipelining.ways(plan)
        #expect(
            ways.map(\.name) == ["check-out", "check-out", "pipeline, 6 deep", "pipeline, 3 deep", "pipeline, 2 deep"])
        #expect(ways.map(\.connections) == [3, 2, 1, 2, 3])
        for way in ways {
            for query in Pipelining.Query.allCases {
                let rounds = figures[Pipelining.Cell(query: query, way: way)] ?? []
                #expect(rounds.count == plan.rounds)
                // Each caller asks at least once, however slow the machine is.
                #expect(
                    rounds.allSatisfy { $0.requestsPerSecond > 0 && ($0.p50 ?? 0) > 0 && $0.failures == 0 },
                    "\(query), \(way): \(rounds)")
            }
        }
    }
}
