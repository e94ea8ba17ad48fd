import DispatchLoop
import HTTP1
import HTTP1Checks
import Testing

@Suite("properties of all inputs")
struct PropertyTests {
    /// New in each run. A failure prints it; set that value here to reproduce the failure.
    static let seed = UInt64.random(in: .min ... .max)

    /// Valid or nearly valid requests: wire cases, some of them changed.
    static func wire(_ generator: inout SplitMix64) -> [UInt8] {
        var wire: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let isGood = Int.random(in: 0..<10, using: &generator) < 6
            let text =
                isGood
                ? AcceptedWire.all.randomElement(using: &generator)?.wire
                : RefusedWire.all.randomElement(using: &generator)?.wire
            guard let text, text.utf8.count < 4096 else { continue }
            wire += Array(text.utf8)
        }
        while !wire.isEmpty, Int.random(in: 0..<3, using: &generator) == 0 {
            let index = Int.random(in: 0..<wire.count, using: &generator)
            let interesting = Array("\r\n :;,=\"\\%/?*0159afGH\u{0}\u{7F}\t".utf8)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: wire[index] = UInt8.random(in: .min ... .max, using: &generator)
            case 1: wire.insert(interesting.randomElement(using: &generator) ?? 0, at: index)
            case 2: wire.remove(at: index)
            default:
                let other = Int.random(in: 0..<wire.count, using: &generator)
                wire.insert(contentsOf: wire[min(index, other)..<max(index, other)].prefix(64), at: index)
            }
        }
        return wire
    }

    /// Runs `ParserChecks`: the result is independent of cuts, equals the reference reader's, has one length for
    /// lenient readers, stays within bounds, and is stable when serialized again.
    @Test("valid and nearly valid requests keep all properties")
    func nearlyRight() {
        var generator = SplitMix64(seed: Self.seed)
        for round in 0..<800 {
            let wire = Self.wire(&generator)
            guard let breach = ParserChecks.breach(wire) ?? ResponseChecks.breach(wire) else { continue }
            let text = String(decoding: wire, as: UTF8.self).debugDescription
            Issue.record("seed \(Self.seed), round \(round): \(breach)\n\(text)")
            return
        }
    }

    @Test("random bytes are rejected or incomplete, without a trap")
    func noise() {
        var generator = SplitMix64(seed: Self.seed &+ 2)
        for _ in 0..<2000 {
            let wire = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            #expect(Outcome([wire]).requests == [], "seed \(Self.seed)")
            #expect(ParserChecks.breach(wire) == nil, "seed \(Self.seed)")
        }
    }

    @Test("an accepted request ends at the same byte for all lenient readers", arguments: AcceptedWire.all)
    func unambiguous(_ acceptance: AcceptedWire) {
        #expect(ParserChecks.ambiguity(Array(acceptance.wire.utf8)) == nil)
    }

    @Test("the wire cases keep the properties too")
    func cases() {
        for wire in AcceptedWire.all.map(\.wire) + RefusedWire.all.map(\.wire) where wire.utf8.count < 32_768 {
            #expect(ParserChecks.breach(Array(wire.utf8)) == nil, "\(wire.debugDescription)")
            #expect(ResponseChecks.breach(Array(wire.utf8)) == nil, "\(wire.debugDescription)")
        }
    }
}
