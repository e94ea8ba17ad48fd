import DispatchLoop
import Testing

@testable import DispatchPostgres

@Suite struct PipelineMachineTests {
    private static func machine(sessions: Int = 2, depth: Int = 2, waiting: Int = 100) -> PipelineMachine {
        PipelineMachine(
            maximumSessions: sessions, depth: depth, maximumWaiting: waiting, silence: .milliseconds(300))
    }

    private func at(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }

    @Test("the first statement requests a session; further ones share it, up to its depth, before another is requested")
    func fewSessions() {
        var machine = Self.machine()
        var numbers: [Int] = []
        for _ in 0..<3 {
            if let number = machine.submit(isIdempotent: false, deadline: at(1_000), at: at(0)) {
                numbers.append(number)
            }
        }
        let asked = machine.takeActions()
        #expect(asked == [.open, .open])
        machine.opened(7, at: at(1))
        let sent = machine.takeActions()
        #expect(sent == [.send(numbers[0], on: 7), .send(numbers[1], on: 7)])
        let isWanted = machine.completed(numbers[0], on: 7, at: at(2))
        #expect(isWanted)
        let third = machine.takeActions()
        #expect(third == [.send(numbers[2], on: 7)])
        machine.opened(8, at: at(3))
        let unused = machine.takeActions()
        #expect(unused == [.giveBack(8)], "the session has no statements left")
    }

    @Test("a session is given back when it has no statements, and after its quantum gets no new ones")
    func givesBack() throws {
        var machine = Self.machine(sessions: 1)
        let first = try mustSubmit(&machine, deadline: at(0 + 10_000), at: at(0))
        machine.opened(1, at: at(0))
        _ = machine.takeActions()
        let second = try mustSubmit(&machine, deadline: at(1_500 + 10_000), at: at(1_500))
        let later = machine.takeActions()
        #expect(later.isEmpty, "the session's quantum is over, and no second one is allowed")
        _ = machine.completed(first, on: 1, at: at(1_501))
        let home = machine.takeActions()
        #expect(home == [.giveBack(1), .open])
        machine.opened(2, at: at(1_502))
        let sent = machine.takeActions()
        #expect(sent == [.send(second, on: 2)])
    }

    private func mustSubmit(
        _ machine: inout PipelineMachine, isIdempotent: Bool = false, deadline: MonotonicTime, at now: MonotonicTime
    ) throws -> Int {
        let number = machine.submit(isIdempotent: isIdempotent, deadline: deadline, at: now)
        return try #require(number, "expected to be taken")
    }

    @Test("a lost session fails its non-idempotent statements; the others are sent once more, before new ones")
    func lostSession() throws {
        var machine = Self.machine(sessions: 1, depth: 3)
        let safe = try mustSubmit(&machine, isIdempotent: true, deadline: at(0 + 10_000), at: at(0))
        let unsafe = try mustSubmit(&machine, deadline: at(0 + 10_000), at: at(0))
        let other = try mustSubmit(&machine, isIdempotent: true, deadline: at(0 + 10_000), at: at(0))
        let newcomer = try mustSubmit(&machine, deadline: at(0 + 10_000), at: at(0))
        machine.opened(1, at: at(0))
        _ = machine.takeActions()
        machine.lost(1, at: at(1))
        let lost = machine.takeActions()
        #expect(lost == [.fail(unsafe, .lost(session: 1)), .open])
        machine.opened(2, at: at(2))
        let again = machine.takeActions()
        #expect(again == [.send(safe, on: 2), .send(other, on: 2), .send(newcomer, on: 2)])
        machine.lost(2, at: at(3))
        let failed = machine.takeActions()
        #expect(
            Set(failed)
                == [
                    .fail(safe, .lost(session: 2)), .fail(other, .lost(session: 2)),
                    .fail(newcomer, .lost(session: 2)),
                ], "once more only")
    }

    @Test("statements that a lost session never sent are sent again, idempotent or not")
    func neverSent() throws {
        var machine = Self.machine(sessions: 1, depth: 3)
        let sent = try mustSubmit(&machine, deadline: at(10_000), at: at(0))
        let unsent = try mustSubmit(&machine, deadline: at(10_000), at: at(0))
        machine.opened(1, at: at(0))
        _ = machine.takeActions()
        machine.lost(1, unsent: [unsent], at: at(1))
        let lost = machine.takeActions()
        #expect(lost == [.fail(sent, .lost(session: 1)), .open])
        machine.opened(2, at: at(2))
        let first = machine.takeActions()
        #expect(first == [.send(unsent, on: 2)])
        machine.lost(2, at: at(3))
        let failed = machine.takeActions()
        #expect(failed == [.fail(unsent, .lost(session: 2))], "this time it was sent")
    }

    @Test("an overdue result closes its session; one behind another statement only fails")
    func deadlines() throws {
        var machine = Self.machine(sessions: 1, depth: 3)
        let slow = try mustSubmit(&machine, isIdempotent: false, deadline: at(5_000), at: at(0))
        let behind = try mustSubmit(&machine, isIdempotent: false, deadline: at(1_000), at: at(0))
        machine.opened(1, at: at(0))
        _ = machine.takeActions()
        machine.tick(at: at(1_000))
        let first = machine.takeActions()
        #expect(first == [.fail(behind, .timeout(wasSent: true)), .suspect(1)])
        machine.tick(at: at(5_000))
        let second = machine.takeActions()
        #expect(second == [.fail(slow, .timeout(wasSent: true)), .close(1)])
    }

    @Test("a session that owes the result of a cancelled statement is closed at the deadline")
    func abandoned() throws {
        var machine = Self.machine(sessions: 1)
        let hanging = try mustSubmit(&machine, deadline: at(1_000), at: at(0))
        machine.opened(1, at: at(0))
        let wasOpen = machine.cancel(hanging)
        #expect(wasOpen)
        _ = machine.takeActions()
        #expect(machine.nextDeadline <= at(1_000))
        machine.tick(at: at(1_000))
        let actions = machine.takeActions()
        #expect(actions.contains(.close(1)))
        #expect(!actions.contains(.fail(hanging, .timeout(wasSent: true))), "its task has left")
    }

    @Test("an abandoned statement behind another one closes the session when its own result does not come either")
    func givenUpBehind() throws {
        var machine = Self.machine(sessions: 1)
        let first = try mustSubmit(&machine, deadline: at(5_000), at: at(0))
        let second = try mustSubmit(&machine, deadline: at(1_000), at: at(0))
        machine.opened(1, at: at(0))
        machine.tick(at: at(1_000))
        let given = machine.takeActions()
        #expect(given.contains(.fail(second, .timeout(wasSent: true))) && !given.contains(.close(1)))
        _ = machine.completed(first, on: 1, at: at(1_100))
        machine.tick(at: at(1_400))
        let closed = machine.takeActions()
        #expect(closed.contains(.close(1)))
    }

    @Test("waiting statements fail when no session is available, and at their deadlines")
    func waiting() throws {
        var machine = Self.machine()
        let first = try mustSubmit(&machine, isIdempotent: false, deadline: at(10), at: at(0))
        machine.tick(at: at(10))
        let expired = machine.takeActions()
        #expect(expired == [.open, .fail(first, .timeout(wasSent: false))])
        let second = try mustSubmit(&machine, isIdempotent: false, deadline: at(1_000), at: at(11))
        machine.refused(at: at(12))
        let refused = machine.takeActions()
        #expect(refused == [.fail(second, .refused)])
    }

    @Test("statements beyond the maximum of waiting ones are refused")
    func bounded() {
        var machine = Self.machine(waiting: 3)
        var taken: [Bool] = []
        for _ in 0..<5 { taken.append(machine.submit(isIdempotent: false, deadline: at(1), at: at(0)) != nil) }
        #expect(taken == [true, true, true, false, false])
    }

    @Test(
        "no sequence of events exceeds depth or sessions, and every statement is settled once", arguments: 0..<40)
    func random(seed: Int) {
        var world = PipelineWorld(seed: UInt64(seed))
        for _ in 0..<2_000 {
            world.step()
            if let breach = world.breach {
                Issue.record("seed \(seed): \(breach)")
                return
            }
        }
        world.finish()
        #expect(world.breach == nil, "seed \(seed)")
        #expect(world.open.isEmpty, "seed \(seed): not settled: \(world.open.count)")
    }
}

/// A server that answers and loses sessions at random times.
private struct PipelineWorld {
    var machine = PipelineMachine(maximumSessions: 3, depth: 4, maximumWaiting: 50, silence: .milliseconds(300))
    var random: SplitMix64
    var now = MonotonicTime(nanoseconds: 0)
    /// Unsettled statements: whether each is idempotent, and how many times it was sent.
    var open: [Int: (isIdempotent: Bool, sent: Int)] = [:]
    var sessions: [Int: [Int]] = [:]
    var wanted = 0
    var nextSession = 0
    var breach: String?

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func step() {
        switch Int.random(in: 0..<12, using: &random) {
        case 0...3:
            let isIdempotent = Bool.random(using: &random)
            let deadline = now + .milliseconds(Int.random(in: 1...2_000, using: &random))
            if let number = machine.submit(isIdempotent: isIdempotent, deadline: deadline, at: now) {
                open[number] = (isIdempotent, 0)
            }
        case 4...6: answer()
        case 7 where wanted > 0:
            wanted -= 1
            if Int.random(in: 0..<4, using: &random) == 0 {
                machine.refused(at: now)
            } else {
                nextSession += 1
                sessions[nextSession] = []
                machine.opened(nextSession, at: now)
            }
        case 8:
            if let session = sessions.keys.sorted().randomElement(using: &random) { lose(session) }
        case 9:
            if let number = open.keys.sorted().randomElement(using: &random) {
                if !machine.cancel(number) { breach = "\(number) had been settled already" }
                open[number] = nil
            }
        default:
            now = now + .milliseconds(Int.random(in: 0...100, using: &random))
            machine.tick(at: now)
        }
        perform()
    }

    mutating func finish() {
        while wanted > 0 {
            wanted -= 1
            machine.refused(at: now)
            perform()
        }
        now = now + .seconds(100)
        machine.tick(at: now)
        perform()
    }

    private mutating func answer() {
        guard let session = sessions.keys.sorted().randomElement(using: &random), let number = sessions[session]?.first
        else { return }
        sessions[session]?.removeFirst()
        let isWanted = machine.completed(number, on: session, at: now)
        if isWanted != (open[number] != nil) { breach = "\(number) is wanted: \(isWanted)" }
        open[number] = nil
    }

    private mutating func lose(_ session: Int) {
        let flights = sessions.removeValue(forKey: session) ?? []
        // Some of the last ones may be unsent.
        let unsent = Array(flights.suffix(Int.random(in: 0...flights.count, using: &random)))
        for number in unsent { open[number]?.sent -= 1 }
        machine.lost(session, unsent: unsent, at: now)
    }

    private mutating func perform() {
        for action in machine.takeActions() {
            switch action {
            case .open:
                wanted += 1
                if sessions.count + wanted > 3 { breach = "\(sessions.count) sessions and \(wanted) requested" }
            case .send(let number, let session):
                sessions[session, default: []].append(number)
                open[number]?.sent += 1
                if sessions[session]?.count ?? 0 > 4 { breach = "too many in flight" }
                if let entry = open[number], entry.sent > (entry.isIdempotent ? 2 : 1) { breach = "sent too often" }
                if open[number] == nil { breach = "sent after it was settled" }
            case .fail(let number, _):
                if open.removeValue(forKey: number) == nil { breach = "\(number) was settled twice" }
            case .giveBack(let session):
                if sessions.removeValue(forKey: session)?.isEmpty != true { breach = "gave back a session at work" }
            case .close(let session):
                lose(session)
                perform()
            case .suspect: break
            }
        }
    }
}

extension PipelineMachine {
    fileprivate mutating func takeActions() -> [Action] {
        var taken: [Action] = []
        while let action = nextAction() { taken.append(action) }
        return taken
    }
}
