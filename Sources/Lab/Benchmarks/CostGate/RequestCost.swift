/// The cost of one request, or one turn of a loop: means over thousands, so rare events (a new `Date`, a timer) make
/// fractions.
package struct RequestCost: Sendable, Equatable {
    package var instructions: Double
    /// Calls of `malloc` and its kin.
    package var allocations: Double
    /// `recv`, `read` …
    package var reads: Double
    /// `send`, `write` …
    package var writes: Double
    /// `epoll_wait`, `poll` …
    package var waits: Double
    /// Other system calls: timers, `epoll_ctl`, eventfd, futexes.
    package var otherCalls: Double

    package init(
        instructions: Double, allocations: Double, reads: Double, writes: Double, waits: Double, otherCalls: Double
    ) {
        self.instructions = instructions
        self.allocations = allocations
        self.reads = reads
        self.writes = writes
        self.waits = waits
        self.otherCalls = otherCalls
    }

    /// The cost of `count` additional requests. The start-up of both runs cancels out.
    package init(of count: Int, between few: CallgrindProfile, and many: CallgrindProfile) {
        func calls(_ names: [String]) -> Double {
            let extra = names.reduce(0) { $0 + many.calls[$1, default: 0] - few.calls[$1, default: 0] }
            return Double(extra) / Double(count)
        }
        instructions = Double(many.instructions - few.instructions) / Double(count)
        allocations = calls(["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"])
        reads = calls(["recv", "recvfrom", "recvmsg", "read", "readv"])
        writes = calls(["send", "sendto", "sendmsg", "write", "writev"])
        waits = calls(["epoll_wait", "epoll_pwait", "poll", "ppoll", "select"])
        otherCalls = calls([
            "epoll_ctl", "timerfd_settime", "eventfd_write", "eventfd_read", "setsockopt", "getsockopt", "accept4",
            "close", "shutdown", "syscall", "mmap", "munmap", "madvise", "brk",
        ])
    }

    /// Adds `count` times what `other` costs.
    package mutating func add(_ count: Double, of other: RequestCost) {
        for column in Self.columns { self[keyPath: column.path] += count * other[keyPath: column.path] }
    }

    /// The figures by their names in the file and the table.
    package static let columns: [(name: String, path: any WritableKeyPath<RequestCost, Double> & Sendable)] = [
        ("instructions", \.instructions), ("allocations", \.allocations), ("reads", \.reads), ("writes", \.writes),
        ("waits", \.waits), ("other calls", \.otherCalls),
    ]

    /// Rounded to significant digits, and never `-0`.
    package static func text(_ value: Double, isInstructions: Bool) -> String {
        if isInstructions { return "\(Int(value.rounded()))" }
        let hundredths = Int((value * 100).rounded())
        let whole = abs(hundredths) / 100
        let rest = abs(hundredths) % 100
        let sign = hundredths < 0 ? "-" : ""
        return rest == 0 ? "\(sign)\(whole)" : "\(sign)\(whole).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// All figures, in the order of ``columns``.
    package var texts: [String] {
        Self.columns.enumerated().map { Self.text(self[keyPath: $1.path], isInstructions: $0 == 0) }
    }
}
