import Benchmarks
import PostgresTestKit
import Testing

@Suite("A short run of the pipeline's benchmark", .timeLimit(.minutes(2)))
struct PipeliningTests {
    @Test("sends both queries in every way, gets correct answers, and has a figure for each round")
    func sendsInEveryWay() async throws {
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
                // Each caller sends at least one query, even on a slow machine.
                #expect(
                    rounds.allSatisfy { $0.requestsPerSecond > 0 && ($0.p50 ?? 0) > 0 && $0.failures == 0 },
                    "\(query), \(way): \(rounds)")
            }
        }
    }
}
