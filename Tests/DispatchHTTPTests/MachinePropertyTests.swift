import DispatchLoop
import HTTP1Checks
import Testing

@testable import DispatchHTTP

@Suite("random events on a connection")
struct MachinePropertyTests {
    @Test("responses are complete and in order, and none follows the last one", arguments: 0..<300)
    func order(_ seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let count = Int.random(in: 1...12, using: &generator)
        let wire = (0..<count).map { number in
            number.isMultiple(of: 3)
                ? "POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                : ConnectionMachineTests.get("/\(number)")
        }.joined()
        var driver = MachineDriver(maxLingerBytes: 1 << 20)
        driver.turn = Int.random(in: 1...4, using: &generator)
        driver.held = Set((0..<count).filter { _ in Bool.random(using: &generator) }.map { "/\($0)" })
        var pieces = Cut.random(Array(wire.utf8), using: &generator)[...]
        var leavesAt = Int.random(in: 0...40, using: &generator)
        var answersAtLeaving: Int?
        // Each step performs one random event.
        for _ in 0..<(pieces.count + 400) where driver.reason == nil {
            leavesAt -= 1
            if leavesAt == 0 {
                driver.machine.leave(grace: .max, at: driver.now)
                answersAtLeaving = driver.answers.count
            }
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1: if let piece = pieces.popFirst() { driver.arrive(piece) }
            case 2: driver.complete()
            case 3: driver.takes = Bool.random(using: &generator)
            case 4: driver.drainOutput()
            default: driver.takeTurn()
            }
        }
        settle(&driver, pieces)
        let targets = driver.answers.map { $0.split(separator: " ")[0] }
        #expect(targets == (0..<driver.answers.count).map { "/\($0)" }, "seed \(seed)")
        #expect(driver.answers.dropLast().allSatisfy { $0.hasSuffix(" persists") }, "seed \(seed)")
        #expect(!driver.done.contains("no end"), "seed \(seed)")
        if let answersAtLeaving, answersAtLeaving < count {
            #expect(driver.answers.count == answersAtLeaving + 1, "seed \(seed): the next response is the last one")
            #expect(driver.answers.last?.hasSuffix(" closes") == true, "seed \(seed)")
            #expect(driver.reason == .drained || driver.reason == .clientClosed, "seed \(seed)")
        } else {
            #expect(driver.answers.count == count, "seed \(seed)")
        }
    }

    /// Performs all outstanding events, and ends the client's side.
    private func settle(_ driver: inout MachineDriver, _ pieces: ArraySlice<[UInt8]>) {
        for piece in pieces { driver.arrive(piece) }
        driver.end()
        for _ in 0..<100 where driver.reason == nil {
            driver.drainOutput()
            driver.complete()
            driver.takeTurn()
        }
    }
}
