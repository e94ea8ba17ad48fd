/// The system calls of a program, as counted by `strace -c`.
package struct SyscallReport: Sendable, Equatable {
    package let calls: [String: Int]

    /// Reads the table: `% time, seconds, usecs/call, calls, errors (may be empty), syscall`.
    package init(_ text: String) {
        var calls: [String: Int] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 5, Double(words[0]) != nil, let count = Int(words[3]), let name = words.last,
                name != "total"
            else { continue }
            calls[String(name), default: 0] += count
        }
        self.calls = calls
    }

    /// The calls of one of `count` additional requests, without rare ones.
    package func perRequest(_ count: Int, more many: SyscallReport) -> [(name: String, calls: Double)] {
        many.calls.map { (name: $0, calls: Double($1 - calls[$0, default: 0]) / Double(count)) }
            .filter { $0.calls >= 0.005 }
            .sorted { ($1.calls, $0.name) < ($0.calls, $1.name) }
    }
}
