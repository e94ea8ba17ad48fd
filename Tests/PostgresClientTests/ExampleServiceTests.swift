import PostgresTestKit
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(2))) struct ExampleServiceTests {
    @Test("a service survives restarts under load: money is neither made nor lost")
    func restarts() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withClient(sandbox.connectionURL()) { client in
                let service = AccountService(client: client)
                try await service.createTables()
                let ada = try await service.open("Ada", .euro, balance: 1_000, tags: ["a,b", "\"c\""], note: nil)
                let bob = try await service.open("Bob", .franc, balance: 1_000, tags: [], note: "it's")
                #expect(
                    try await service.account(bob)
                        == .init(id: bob, name: "Bob", currency: .franc, balance: 1_000, tags: [], note: "it's"))
                let outcomes = await withTaskGroup(of: (done: Int, unknown: Int).self) { group in
                    for task in 0..<4 {
                        group.addTask {
                            var (done, unknown) = (0, 0)
                            let (from, to) = task.isMultiple(of: 2) ? (ada, bob) : (bob, ada)
                            for _ in 0..<50 {
                                do {
                                    try await service.transfer(1, from: from, to: to)
                                    done += 1
                                } catch let error as PostgresClientError where error.kind == .outcomeUnknown {
                                    unknown += 1
                                } catch {}
                            }
                            return (done, unknown)
                        }
                    }
                    for mode in [StopMode.fast, .immediate] {
                        _ = try? await sandbox.stop(mode)
                        _ = try? await sandbox.start()
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                print("transfers done and unknown, by task: \(outcomes)")
                #expect(try await service.total() == 2_000)
                let balance = try await service.account(ada)?.balance ?? 0
                let (out, back) = (outcomes.count, outcomes.reduce(0) { $0 + $1.unknown })
                #expect(out == 4)
                // Which task has which outcome is not known; but no more than were tried moved.
                #expect(abs(balance - 1_000) <= 100 + back)
            }
        }
    }

    @Test("an error of the service rolls back, and comes through")
    func ownError() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withClient(sandbox.connectionURL()) { client in
                let service = AccountService(client: client)
                try await service.createTables()
                let ada = try await service.open("Ada", .euro, balance: 10, tags: [], note: nil)
                let bob = try await service.open("Bob", .euro, balance: 0, tags: [], note: nil)
                await #expect(throws: AccountService.NotEnough(missing: 5)) {
                    try await service.transfer(15, from: ada, to: bob)
                }
                let error = await #expect(throws: PostgresClientError.self) {
                    try await service.open("Ada", .euro, balance: 1, tags: [], note: nil)
                }
                #expect(error?.sqlState == .uniqueViolation)
                #expect(error?.cause?.constraint == "accounts_name_key")
                #expect(error?.cause?.table == "accounts")
            }
        }
    }

    @Test("bodies run in the caller's isolation")
    func isolation() async throws {
        try await withSharedClient { client in
            #expect(try await Counter().countTables(client) == 2)
            try await onMainActor(client)
        }
    }

    @MainActor
    private func onMainActor(_ client: PostgresClient) async throws {
        final class Box { var values: [Int] = [] }
        let box = Box()
        let same: Box = try await client.withTransaction { transaction in
            MainActor.assertIsolated()
            box.values.append(try await transaction.query("select 1").decodeOne(Int.self))
            MainActor.assertIsolated()
            return box
        }
        #expect(same.values == [1])
    }
}
