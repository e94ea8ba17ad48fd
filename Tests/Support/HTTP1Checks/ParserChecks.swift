import DispatchLoop
import HTTP1

/// The properties that the parser has for all inputs. The property tests, the fuzzer and the corpus of past failures
/// share them.
package enum ParserChecks {
    /// The property that `wire` violates; `nil` if it violates none. The bytes seed the random choices, so equal bytes
    /// give equal verdicts.
    package static func breach(_ wire: [UInt8]) -> String? {
        var generator = SplitMix64(hashing: wire)
        if let breach = breach(wire, ParserLimits(), using: &generator) { return breach }
        let small = ParserLimits(
            requestLine: .random(in: 0...60, using: &generator), fieldBytes: .random(in: 0...120, using: &generator),
            fieldCount: .random(in: 0...4, using: &generator), body: .random(in: 0...20, using: &generator))
        return breach(wire, small, using: &generator).map { "\(small): \($0)" }
    }

    private static func breach(
        _ wire: [UInt8], _ limits: ParserLimits, using generator: inout SplitMix64
    ) -> String? {
        let outcome = Outcome([wire], limits: limits)
        if let breach = outcome.breaches.first { return breach }
        let cut = Outcome(Cut.random(wire, using: &generator), limits: limits)
        if cut != outcome { return "cut: \(cut) instead of \(outcome)" }
        if wire.count <= 512 {
            let single = Outcome(wire.map { [$0] }, limits: limits)
            if single != outcome { return "byte by byte: \(single) instead of \(outcome)" }
        }
        return disagreement(wire, limits, outcome)
            ?? ambiguity(wire, outcome, using: &generator)
            ?? changeByWritingAgain(outcome)
    }

    // MARK: The reference reader

    private static func disagreement(_ wire: [UInt8], _ limits: ParserLimits, _ outcome: Outcome) -> String? {
        var reader = ReferenceReader(wire, limits: limits)
        let (requests, stop) = reader.readAll()
        guard requests.count == outcome.requests.count else {
            return "\(outcome.requests.count) requests where the reference reads \(requests.count)"
        }
        for (ours, theirs) in zip(outcome.requests, requests) {
            let fields = theirs.fields.map { "\(text($0.name)): \(text($0.value))" }
            let isSame =
                ours.method == text(theirs.method) && ours.target == text(theirs.target) && ours.end == theirs.end
                && ours.keepAlive == theirs.keepAlive && ours.fields == fields
            if !isSame { return "\(ours) where the reference reads \(theirs)" }
        }
        switch (stop, outcome.error) {
        case (.refused, nil): return "accepted what the reference rejects"
        case (.ended, let error?): return "\(error) where the reference waits for more"
        case (.refused, _?), (.ended, nil): return nil
        }
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    // MARK: Other readers

    private static func ambiguity(
        _ wire: [UInt8], _ outcome: Outcome, using generator: inout SplitMix64
    ) -> String? {
        var leniencies = [LenientReader.Leniency()]
        for _ in 0..<2 {
            let combination = Int.random(in: 0..<LenientReader.Leniency.combinations, using: &generator)
            leniencies.append(LenientReader.Leniency(rawValue: combination))
        }
        return ambiguity(wire, outcome, leniencies)
    }

    private static func ambiguity(
        _ wire: [UInt8], _ outcome: Outcome, _ leniencies: [LenientReader.Leniency]
    ) -> String? {
        var start = 0
        for request in outcome.requests {
            for leniency in leniencies {
                var reader = LenientReader(wire[start...], leniency)
                let end = reader.end()
                if end != request.end {
                    return "\(request) ends at \(end.map(String.init) ?? "no byte") for \(leniency)"
                }
            }
            start = request.end
        }
        return nil
    }

    /// Tries every leniency and every pair of them.
    package static func ambiguity(_ wire: [UInt8]) -> String? {
        let singles = LenientReader.Leniency.allCases
        let pairs = singles.flatMap { first in singles.map { first.union($0) } }
        return ambiguity(wire, Outcome([wire]), pairs)
    }

    // MARK: Serializing again

    /// A delivered request, serialized again, parses to the same request.
    private static func changeByWritingAgain(_ outcome: Outcome) -> String? {
        for request in outcome.requests {
            let framing = ["transfer-encoding", "content-length", "expect"]
            let lines = request.fields.filter { line in
                !framing.contains { line.lowercased().hasPrefix($0 + ":") }
            }
            // A field value that is not UTF-8 does not survive the text.
            if lines.contains(where: { $0.contains("\u{FFFD}") }) { continue }
            let wire = Array(
                ("\(request.method) \(request.target) HTTP/\(request.isHTTP10 ? "1.0" : "1.1")\r\n"
                    + lines.map { $0 + "\r\n" }.joined() + "\r\n").utf8)
            var expected = request
            expected.fields = lines
            expected.end = wire.count
            let again = Outcome([wire])
            if again.requests != [expected] || again.error != nil {
                return "\(request) serialized again is \(again)"
            }
        }
        return nil
    }
}
