import PostgresClient

/// SplitMix64 (Steele, Lea, Flood, 2014), so that a run's choices can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

extension Note {
    /// A note with values of all kinds, the extremes among them.
    static func random(id: Int, using random: inout SeededGenerator) -> Note {
        func integer<Value: FixedWidthInteger>(_ type: Value.Type) -> Value {
            [.min, .max, 0, .random(in: .min ... .max, using: &random)].randomElement(using: &random) ?? 0
        }
        let letters = Array("aZ0 ,;'\"\\{}\n\tNULL äß€😀")
        func text(_ longest: Int) -> String {
            let length = Int.random(in: 0...longest, using: &random)
            return String((0..<length).compactMap { _ in letters.randomElement(using: &random) })
        }
        let double = Double(bitPattern: random.next())
        let single = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
        return Note(
            id: id, isPublic: .random(using: &random), small: integer(Int16.self), medium: integer(Int32.self),
            large: integer(Int64.self), unsigned: integer(UInt64.self), single: single.isNaN ? .infinity : single,
            double: double.isNaN ? -.infinity : double, title: text(20),
            body: (0..<Int.random(in: 0...300, using: &random)).map { _ in .random(in: 0...255, using: &random) },
            tags: (0..<Int.random(in: 0...4, using: &random)).map { _ in text(6) },
            scores: (0..<Int.random(in: 0...4, using: &random)).map { _ in
                .random(using: &random) ? nil : integer(Int.self)
            },
            kind: Kind.allCases.randomElement(using: &random) ?? .memo,
            mood: .random(using: &random) ? nil : Mood.allCases.randomElement(using: &random),
            attributes: JSONText(#"{"a": [1, null, "\u00e4"],  "id": \#(id)}"#))
    }
}

/// Tasks that do everything that the service can, until they are told to end.
struct Load: Sendable {
    static let accounts = 6
    static let balance = 1_000
    static let batchRows = 200
    static let reportRows = 2_000
    private static let workers = 6
    /// Bounds the run, whatever happens.
    private static let limit = 20_000

    let bank: Bank
    let store: NoteStore
    let tally: Tally
    let seed: UInt64

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            for worker in 1...Self.workers { group.addTask { await work(worker) } }
        }
    }

    private func work(_ worker: Int) async {
        var random = SeededGenerator(seed: seed &+ UInt64(worker))
        for number in 1...Self.limit {
            if await tally.isOver { return }
            let id = worker * 1_000_000 + number
            let error = await step(id, &random)
            // The pace of a client that was told of an outage. Nothing depends on it.
            if error is PostgresClientError {
                try? await Task.sleep(for: .milliseconds(Int.random(in: 5...30, using: &random)))
            }
        }
    }

    private func step(_ id: Int, _ random: inout SeededGenerator) async -> (any Error)? {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<40:
            let giver = Int.random(in: 1...Self.accounts, using: &random)
            let taker = giver % Self.accounts + 1
            let amount = Int.random(in: 1...100, using: &random)
            let isolation = Bank.Isolation.allCases.randomElement(using: &random) ?? .rowLocks
            let error = await failure { try await bank.transfer(amount, from: giver, to: taker, id: id, isolation) }
            await tally.transfer(id, error)
            return error
        case 40..<75: return await insert(.random(id: id, using: &random))
        case 75..<85:
            let error = await failure { _ = try await store.note(id) }
            await tally.read(error)
            return error
        case 85..<92:
            let error = await failure {
                let report = try await store.report(rows: Self.reportRows)
                let sum = Self.reportRows * (Self.reportRows + 1) / 2
                // A report that ends without an error is whole.
                if report != (Self.reportRows, sum) { await tally.fault("a report of \(report)") }
            }
            await tally.read(error)
            return error
        case 92..<96:
            let error = await failure { try await store.importBatch(id, rows: Self.batchRows) }
            await tally.batch(id, error)
            return error
        default:
            let error = await failure {
                let partial = try await store.exportBatches().filter { $0.value != Self.batchRows }
                if !partial.isEmpty { await tally.fault("parts of batches: \(partial)") }
            }
            await tally.read(error)
            return error
        }
    }

    func insert(_ note: Note) async -> (any Error)? {
        let error = await failure { try await store.insert(note) }
        await tally.note(note, error)
        return error
    }

    private func failure(_ work: () async throws -> Void) async -> (any Error)? {
        do {
            try await work()
            return nil
        } catch {
            return error
        }
    }
}
