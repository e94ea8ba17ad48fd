import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Drives the machine through random sequences of all inputs, and checks every invariant after
/// each step. The seed of a failing run is in its name and message.
@Suite struct PoolMachineRandomTests {
    static let steps = 1_500

    @Test("no sequence of events breaks an invariant", arguments: 0..<120)
    func random(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        let targets = SessionTarget.allCases
        var world = MachineHarness(seed: UInt64(seed), target: targets[seed % targets.count]) {
            $0.maximum = 1 + seed % 6
            $0.minimum = seed % 3 == 0 ? 0 : min(1 + seed % 2, $0.maximum)
            if seed % 4 == 0 { $0.maximumLifetime = .seconds(20) }
            if seed % 4 == 1 { $0.keepalive = .seconds(3) }
            if seed % 4 == 2 { $0.idleTimeout = .seconds(2) }
            if seed % 7 == 0 { $0.maximumIdle = max(1, $0.minimum) }
        }
        world.start()
        var log: [String] = []
        for step in 0..<Self.steps {
            log.append(Self.act(on: &world, using: &random))
            let breaches = world.breaches()
            if !breaches.isEmpty {
                Issue.record("seed \(seed), step \(step): \(breaches); after \(log.suffix(8))")
                return
            }
        }
        Self.finish(&world, seed: seed)
    }

    /// Checks that a working database then brings the pool up, and that closing ends it.
    private static func finish(_ world: inout MachineHarness, seed: Int) {
        while !world.borrowed.isEmpty { world.giveBackBorrowed() }
        for _ in 0..<400 where world.health != .up || world.leased.isEmpty {
            if !world.connecting.isEmpty { world.succeed() }
            for id in world.checking { world.passCheck(id) }
            for id in world.resetting { world.passReset(id) }
            if world.health == .up, world.leased.isEmpty { _ = world.checkOut() }
            world.advance(.milliseconds(50))
        }
        #expect(world.health == .up, "seed \(seed): a database that answers makes the pool \(world.health)")
        #expect(!world.leased.isEmpty, "seed \(seed): no connection although the database answers")
        world.apply { $0.drain(at: $1, deadline: $1 + .seconds(5)) }
        #expect(world.waiting.isEmpty, "seed \(seed)")
        for id in world.leased.dropFirst() { world.release(id) }
        world.advance(.seconds(6))
        #expect(world.health == .closed, "seed \(seed): closing does not end")
        #expect(world.sockets.isEmpty, "seed \(seed): sockets are left")
        #expect(world.breaches() == [], "seed \(seed)")
    }

    private static let sessionErrors: [PostgresError] = [
        .ended, .terminated, .terminated, .idleSession, .noAnswer, .readOnly, .starting,
    ]
    private static let connectErrors: [PostgresError] = [
        .refused, .starting, .badPassword, .tooMany, .connectTimeout, .ended, .wrongRole,
    ]

    private static func act(on world: inout MachineHarness, using random: inout SplitMix64) -> String {
        switch Int.random(in: 0..<22, using: &random) {
        case 0...3:
            return "check out: \(world.checkOut())"
        case 4...6:
            guard let id = world.leased.randomElement(using: &random) else { return "-" }
            world.release(
                id, needsReset: Int.random(in: 0..<5, using: &random) == 0, replied: Bool.random(using: &random))
            return "release \(id)"
        case 7, 8:
            guard !world.connecting.isEmpty else { return "-" }
            world.succeed(hasWrongRole: Int.random(in: 0..<6, using: &random) == 0)
            return "connected"
        case 9, 10:
            guard !world.connecting.isEmpty, let error = connectErrors.randomElement(using: &random) else { return "-" }
            world.fail(error)
            return "connect failed: \(error.code)"
        case 11:
            guard
                let id = world.sockets.subtracting(world.connecting + world.borrowed).sorted(by: { $0.index < $1.index }
                )
                .randomElement(using: &random), let error = sessionErrors.randomElement(using: &random)
            else { return "-" }
            world.end(id, error)
            return "ended \(id): \(error.code)"
        case 12:
            guard let id = world.checking.randomElement(using: &random) else { return "-" }
            world.passCheck(id)
            return "passed check \(id)"
        case 13:
            guard let id = world.resetting.randomElement(using: &random) else { return "-" }
            world.passReset(id)
            return "was reset \(id)"
        case 14:
            guard let id = world.leased.randomElement(using: &random) else { return "-" }
            let paths: [PostgresConnection.Path] = [.acknowledged, .acknowledged, .open, .lost]
            world.silence(
                id, canBeAbandoned: Bool.random(using: &random), path: paths.randomElement(using: &random) ?? .open)
            return "silent \(id)"
        case 15:
            guard let waiter = world.waiting.randomElement(using: &random) else { return "-" }
            let first = world.giveUp(waiter)
            let second = world.giveUp(waiter)
            #expect(first && !second, "a waiter is withdrawn once")
            return "gave up \(waiter)"
        case 16:
            if let id = world.connecting.randomElement(using: &random), Bool.random(using: &random) {
                world.progress(id)
                return "progress of \(id)"
            }
            if let id = world.leased.randomElement(using: &random), Bool.random(using: &random) {
                world.overdue(id)
                return "overdue \(id)"
            }
            guard let id = world.leased.randomElement(using: &random) else { return "-" }
            world.apply { $0.discard(id, .silent, at: $1) }
            return "discarded \(id)"
        case 17:
            if let id = world.leased.randomElement(using: &random), Int.random(in: 0..<10, using: &random) == 0 {
                world.apply { $0.pin(id, at: $1) }
                return "pinned \(id)"
            }
            if Int.random(in: 0..<10, using: &random) == 0 {
                world.apply {
                    $0.retireGeneration(at: $1)
                    $0.serveWaiters(at: $1)
                }
                return "retired"
            }
            return "-"
        case 18:
            if Bool.random(using: &random) { return "borrowed: \(world.borrow())" }
            world.giveBackBorrowed()
            return "gave a borrowed slot back"
        case 19:
            guard let id = (world.leased + world.checking).randomElement(using: &random) else { return "-" }
            world.apply { $0.lostRole(id, at: $1) }
            return "lost its role: \(id)"
        default:
            let pause = Duration.microseconds(Int.random(in: 1...400_000, using: &random))
            world.advance(pause)
            return "\(pause) passed"
        }
    }
}
