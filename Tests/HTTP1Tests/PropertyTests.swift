import HTTP1
import HTTPTypes
import Testing

/// A generator that gives the same for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite("what holds for all bytes")
struct PropertyTests {
    /// A new one with each run; a failure prints it, and it can be put here to see the failure again.
    static let seed = UInt64.random(in: .min ... .max)

    /// Requests that are right or nearly so: pieces of the cases, some of them changed.
    static func wire(_ generator: inout SeededGenerator) -> [UInt8] {
        var wire: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let isGood = Int.random(in: 0..<10, using: &generator) < 6
            let text =
                isGood
                ? Acceptance.all.randomElement(using: &generator)?.wire
                : RefusalTests.all.randomElement(using: &generator)?.wire
            guard let text, text.utf8.count < 4096 else { continue }
            wire += Array(text.utf8)
        }
        while !wire.isEmpty, Int.random(in: 0..<3, using: &generator) == 0 {
            let index = Int.random(in: 0..<wire.count, using: &generator)
            let interesting = Array("\r\n :;,%/?*0159afGH\u{0}\u{7F}\t".utf8)
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

    static func cut(_ wire: [UInt8], _ generator: inout SeededGenerator) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = wire[...]
        let longest = [1, 2, 7, 100, 2000].randomElement(using: &generator) ?? 1
        while !rest.isEmpty {
            let length = min(rest.count, Int.random(in: 1...longest, using: &generator))
            pieces.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return pieces
    }

    @Test("the same bytes give the same requests and the same refusal, however they are cut")
    func cutsDoNotMatter() {
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<3000 {
            let wire = Self.wire(&generator)
            let whole = Outcome([wire])
            let cut = Outcome(Self.cut(wire, &generator))
            let single = Outcome(wire.map { [$0] })
            let same = whole == cut && whole == single
            let text = String(decoding: wire, as: UTF8.self).debugDescription
            #expect(same, "seed \(Self.seed), round \(round): \(text)")
            if !same { return }
        }
    }

    @Test("small limits refuse, and never leave the parser without room")
    func smallLimits() {
        var generator = SeededGenerator(seed: Self.seed &+ 1)
        for round in 0..<2000 {
            let limits = ParserLimits(
                requestLine: .random(in: 0...60, using: &generator),
                fieldBytes: .random(in: 0...120, using: &generator),
                fieldCount: .random(in: 0...4, using: &generator), body: .random(in: 0...20, using: &generator))
            let wire = Self.wire(&generator)
            let whole = Outcome([wire], limits: limits)
            let cut = Outcome(Self.cut(wire, &generator), limits: limits)
            #expect(whole == cut, "seed \(Self.seed), round \(round)")
            if whole != cut { return }
        }
    }

    @Test("random bytes are refused or waited for, without a trap")
    func noise() {
        var generator = SeededGenerator(seed: Self.seed &+ 2)
        for _ in 0..<2000 {
            let wire = (0..<Int.random(in: 0...200, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            #expect(Outcome([wire]).requests == [], "seed \(Self.seed)")
        }
    }

    @Test("what is delivered can be written again and is then the same")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: Self.seed &+ 3)
        for _ in 0..<1000 {
            for request in Outcome([Self.wire(&generator)]).requests where request.method != "CONNECT" {
                let framing = ["transfer-encoding", "content-length", "expect"]
                let lines = request.fields.filter { line in
                    !framing.contains { line.lowercased().hasPrefix($0 + ":") }
                }
                let version = request.isHTTP10 ? "1.0" : "1.1"
                let wire =
                    "\(request.method) \(request.target) HTTP/\(version)\r\n"
                    + lines.map { $0 + "\r\n" }.joined() + "\r\n"
                var expected = request
                expected.fields = lines
                // A field value that is no UTF-8 is not the same as text.
                if lines.contains(where: { $0.contains("\u{FFFD}") }) { continue }
                #expect(Outcome([Array(wire.utf8)]).requests == [expected], "seed \(Self.seed)")
            }
        }
    }
}
