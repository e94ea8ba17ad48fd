/// The output of `valgrind --tool=callgrind`: instructions and calls by function.
///
/// Counts do not depend on the machine's load, unlike times.
package struct CallgrindProfile: Sendable {
    /// The instructions of all threads.
    package private(set) var instructions = 0
    /// The instructions of each function, without those of its callees.
    package private(set) var own: [String: Int] = [:]
    /// The number of calls of each function.
    package private(set) var calls: [String: Int] = [:]

    /// Reads the output file (valgrind's manual, "Callgrind Format Specification"). `fn=` and `cfn=` name a function,
    /// with its name only at the first occurrence. A line that begins with a position holds a cost; the line after
    /// `calls=` holds the cost of the call, which belongs to the called function.
    package init(_ text: String) {
        var names: [Substring: String] = [:]
        var current = ""
        var callee = ""
        var isCallCost = false

        func name(_ text: Substring) -> String {
            guard let end = text.firstIndex(of: ")") else { return String(text) }
            let key = text[...end]
            let rest = text[text.index(after: end)...].drop { $0 == " " }
            if !rest.isEmpty {
                // The inner calls of a recursive function have the suffix '2.
                let plain = rest.hasSuffix("'2") ? rest.dropLast(2) : rest
                names[key] = String(plain)
            }
            return names[key] ?? String(key)
        }

        for line in text.split(separator: "\n") {
            guard let first = line.utf8.first else { continue }
            switch first {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "*"):
                if isCallCost {
                    isCallCost = false
                } else if let space = line.firstIndex(of: " "),
                    let cost = Int(line[line.index(after: space)...].prefix { $0 != " " })
                {
                    own[current, default: 0] += cost
                }
            case UInt8(ascii: "f") where line.hasPrefix("fn="): current = name(line.dropFirst(3))
            case UInt8(ascii: "c") where line.hasPrefix("cfn="): callee = name(line.dropFirst(4))
            case UInt8(ascii: "c") where line.hasPrefix("calls="):
                calls[callee, default: 0] += Int(line.dropFirst(6).prefix { $0 != " " }) ?? 0
                isCallCost = true
            case UInt8(ascii: "t") where line.hasPrefix("totals:"):
                instructions = Int(line.dropFirst(7).drop { $0 == " " }.prefix { $0 != " " }) ?? 0
            default: break
            }
        }
    }
}
