import PostgresClient
import PostgresTestKit
import Testing

@Suite("a service with accounts, notes, a subscription, a report and COPY,", .serialized, .timeLimit(.minutes(5)))
struct FaultTests {
    @Test("keeps every promise under load, whatever happens to the database", arguments: DatabaseFault.allCases)
    func survives(fault: DatabaseFault) async throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("\(fault.rawValue): seed \(seed)")
        try await Stage.run(fault) { stage in
            let tally = Tally()
            try await withService(stage.url) { client in
                try await Bank(client: client).createTables(accounts: Load.accounts, balance: Load.balance)
                try await NoteStore(client: client).createTables()
            }
            // Short enough that statements of a frozen database end.
            try await withService(stage.url, timeout: .seconds(2)) { client in
                let load = Load(bank: Bank(client: client), store: NoteStore(client: client), tally: tally, seed: seed)
                try await disturb(stage, load)
            }
            try await stage.settle()
            try await withService(stage.last.connectionURL()) { try await check(stage, tally, $0) }
        }
    }

    /// Loads the service, begins and ends the fault, and waits until it works again.
    private func disturb(_ stage: Stage, _ load: Load) async throws {
        let tally = load.tally
        let subscription = try await load.store.subscribe()
        let reader = Task { for await event in subscription { await tally.receive(event) } }
        defer { reader.cancel() }
        async let running: Void = load.run()
        do {
            await tally.wait(successes: 100)
            try await stage.begin()
            if stage.fault.lasts { await tally.wait(failures: 20) }
            try await stage.end()
            await tally.wait(successes: 100)
        } catch {
            await tally.end()
            throw error
        }
        await tally.end()
        await running
        if stage.fault.endsSessions { await tally.wait { $0.gaps > 0 } }
        try await notify(load)
    }

    /// Inserts notes until the notification of one arrives. It may fall into a gap, which then must be told.
    private func notify(_ load: Load) async throws {
        var random = SeededGenerator(seed: load.seed)
        for id in 100_000_001...100_001_000 {
            let gaps = await load.tally.gaps
            guard await load.insert(.random(id: id, using: &random)) == nil else { continue }
            await load.tally.wait { $0.notified.contains(id) || $0.gaps > gaps }
            if await load.tally.notified.contains(id) { return }
        }
        Issue.record("no notification arrives")
    }

    private func check(_ stage: Stage, _ tally: Tally, _ client: PostgresClient) async throws {
        let (bank, store) = (Bank(client: client), NoteStore(client: client))
        #expect(await tally.faults == [])

        // Money is neither made nor lost, and moved as it was noted.
        #expect(try await bank.total() == Load.accounts * Load.balance)
        #expect(try await bank.wrongAccounts(balance: Load.balance).isEmpty)
        let transfers = await tally.transfers
        expect(transfers, in: try await bank.transfers(), "transfers")
        // A transaction's only doubt is the answer to COMMIT.
        #expect(transfers.values.allSatisfy { $0 == .done || $0 == .failed || $0 == .unknown(.outcomeUnknown) })

        let notes = await tally.notes
        expect(notes.mapValues(\.outcome), in: try await store.ids(), "notes")
        for (id, entry) in notes where entry.outcome == .done {
            #expect(try await store.note(id) == entry.note)
        }

        let batches = try await store.exportBatches()
        #expect(batches.values.allSatisfy { $0 == Load.batchRows }, "\(batches)")
        expect(await tally.batches, in: Set(batches.keys), "batches")

        // Each notification, or word of a gap.
        let missed = notes.filter { $1.outcome == .done }.keys.count { [notified = await tally.notified] in
            !notified.contains($0)
        }
        let gaps = await tally.gaps
        print("\(stage.fault.rawValue): \(gaps) gaps, \(missed) notifications missed; errors \(await tally.errors)")
        #expect(missed == 0 || gaps > 0)
        #expect(gaps > 0 || !stage.fault.endsSessions)
    }

    /// All that was acknowledged is there, and nothing that surely failed; what is unknown is counted and named.
    private func expect(_ outcomes: [Int: Outcome], in found: Set<Int>, _ what: String) {
        let done = Set(outcomes.filter { $1 == .done }.keys)
        let failed = Set(outcomes.filter { $1 == .failed }.keys)
        let unknown = outcomes.filter { $1 != .done && $1 != .failed }
        let there = unknown.keys.count(where: found.contains)
        print("\(what): \(done.count) done, \(failed.count) failed, \(unknown.count) unknown, \(there) of them there")
        for (id, outcome) in unknown.sorted(by: { $0.key < $1.key }) { print("  \(what) \(id): \(outcome)") }
        #expect(done.subtracting(found).isEmpty, "acknowledged, and not there")
        #expect(failed.intersection(found).isEmpty, "failed, and there")
        #expect(found.subtracting(outcomes.keys).isEmpty, "from nowhere")
    }

    /// Runs `body` with a client. Where nothing is disturbed, no limit measures the machine.
    private func withService(
        _ url: String, timeout: Duration = .seconds(30), _ body: (PostgresClient) async throws -> Void
    ) async throws {
        var settings = PostgresClient.Settings()
        settings.timeout = timeout
        settings.pool.maximum = 5
        settings.pool.outageGrace = min(timeout / 10, .seconds(1))
        settings.pool.keepalive = .seconds(1)
        let client = PostgresClient(ConnectionConfiguration(url), settings: settings)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await client.run() }
            try await body(client)
            group.cancelAll()
        }
    }
}
