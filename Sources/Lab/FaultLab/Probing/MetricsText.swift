/// A strict reader of Prometheus' text format, for tests of the writer.
package struct MetricsText: Sendable {
    /// One value with its labels.
    package struct Sample: Sendable, Equatable {
        package let name: String
        package let labels: [String: String]
        package let value: Double
    }

    /// The error, with the line.
    package struct Malformed: Error, CustomStringConvertible {
        package let description: String
    }

    package private(set) var samples: [Sample] = []
    /// `counter`, `gauge`, `histogram` or `untyped`, by metric.
    package private(set) var types: [String: String] = [:]
    /// By metric.
    package private(set) var helps: [String: String] = [:]

    package init(_ text: String) throws(Malformed) {
        guard text.isEmpty || text.hasSuffix("\n") else { throw Malformed(description: "the last line is incomplete") }
        var seen: Set<String> = []
        var finished: Set<String> = []
        var current = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("# ") {
                let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
                guard words.count >= 3 else { throw Malformed(description: "a comment without words: \(line)") }
                let name = String(words[2])
                if name != current, !finished.insert(name).inserted {
                    throw Malformed(description: "\(name) appears in two places")
                }
                current = name
                switch words[1] {
                case "HELP": helps[name] = words.count > 3 ? String(words[3]) : ""
                case "TYPE":
                    guard types[name] == nil, words.count == 4 else { throw Malformed(description: "\(line)") }
                    types[name] = String(words[3])
                default: throw Malformed(description: "neither HELP nor TYPE: \(line)")
                }
                continue
            }
            let sample = try Self.sample(line)
            guard Self.family(of: sample.name, types) == current else {
                throw Malformed(description: "\(sample.name) belongs to another metric than \(current)")
            }
            let key = sample.name + sample.labels.sorted { $0.key < $1.key }.map { "|\($0.key)=\($0.value)" }.joined()
            guard seen.insert(key).inserted else { throw Malformed(description: "twice: \(line)") }
            samples.append(sample)
        }
        try checkHistograms()
    }

    /// The names of all metrics as queries use them: those of histograms have their suffixes.
    package var names: Set<String> { Set(samples.map(\.name)) }

    /// The sum of all samples with this name and at least these labels; nil if none matches.
    package func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        let found = samples.filter { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }
        return found.isEmpty ? nil : found.reduce(0) { $0 + $1.value }
    }

    private static func family(of name: String, _ types: [String: String]) -> String {
        for ending in ["_bucket", "_sum", "_count"] where name.hasSuffix(ending) {
            let stem = String(name.dropLast(ending.count))
            if types[stem] == "histogram" { return stem }
        }
        return name
    }

    // MARK: Lines

    private static func sample(_ line: Substring) throws(Malformed) -> Sample {
        var rest = line
        func malformed(_ what: String) -> Malformed { Malformed(description: "\(what): \(line)") }
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
        guard let first = name.first, !first.isNumber else { throw malformed("no name") }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let key = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                rest = rest.dropFirst(key.count)
                guard !key.isEmpty, rest.hasPrefix("=\"") else { throw malformed("no label") }
                rest = rest.dropFirst(2)
                var value = ""
                while let character = rest.popFirst(), character != "\"" {
                    guard character == "\\" else {
                        value.append(character)
                        continue
                    }
                    switch rest.popFirst() {
                    case "n": value.append("\n")
                    case let escaped? where escaped == "\\" || escaped == "\"": value.append(escaped)
                    default: throw malformed("an unknown escape")
                    }
                }
                guard labels.updateValue(value, forKey: String(key)) == nil else { throw malformed("a label twice") }
                if rest.first == "," { rest = rest.dropFirst() } else if rest.first != "}" { throw malformed("no end") }
            }
            rest = rest.dropFirst()
        }
        guard rest.first == " " else { throw malformed("no value") }
        let text = String(rest.dropFirst())
        guard let value = ["+Inf": Double.infinity, "-Inf": -Double.infinity, "NaN": .nan][text] ?? Double(text) else {
            throw malformed("no number")
        }
        return Sample(name: String(name), labels: labels, value: value)
    }

    /// Checks that buckets ascend, end with infinity, and that the last one equals the count.
    private func checkHistograms() throws(Malformed) {
        for (name, type) in types where type == "histogram" {
            let buckets = samples.filter { $0.name == name + "_bucket" }
            let series = Dictionary(grouping: buckets) { $0.labels.filter { $0.key != "le" } }
            for (labels, buckets) in series {
                let bounds = buckets.compactMap { $0.labels["le"].flatMap { $0 == "+Inf" ? .infinity : Double($0) } }
                guard bounds.count == buckets.count, bounds == bounds.sorted(), bounds.last == .infinity,
                    buckets.map(\.value) == buckets.map(\.value).sorted(),
                    let count = samples.first(where: { $0.name == name + "_count" && $0.labels == labels }),
                    count.value == buckets.last?.value,
                    samples.contains(where: { $0.name == name + "_sum" && $0.labels == labels })
                else { throw Malformed(description: "the histogram \(name) \(labels) is inconsistent") }
            }
        }
    }
}
