internal import Glibc

/// The fields of `/proc/<pid>/stat` that the lab uses (proc(5)).
package struct ProcessStat: Sendable {
    package let state: Character
    package let parent: Int32
    /// In clock ticks since boot.
    package let startTime: UInt64
    /// User and system time of the process.
    package let processorTime: Duration
    /// User and system time of its children that have ended and were waited for.
    package let childProcessorTime: Duration
    package let residentKilobytes: Int

    /// Nil if the text is not a whole line of the file.
    package init?(_ text: String) {
        // The second field is the name in parentheses, and may hold spaces and parentheses.
        guard let parenthesis = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: parenthesis)...].split(whereSeparator: \.isWhitespace)
        guard fields.count > 21, let state = fields[0].first, let parent = Int32(fields[1]),
            let startTime = UInt64(fields[19])
        else { return nil }
        let numbers = fields.map { Int64($0) ?? 0 }
        let ticksPerSecond = Int64(sysconf(Int32(_SC_CLK_TCK)))
        func time(_ ticks: Int64) -> Duration { .microseconds(ticks * 1_000_000 / ticksPerSecond) }
        self.state = state
        self.parent = parent
        self.startTime = startTime
        processorTime = time(numbers[11] + numbers[12])
        childProcessorTime = time(numbers[13] + numbers[14])
        residentKilobytes = Int(numbers[21]) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
    }

    /// Nil if the process does not exist.
    package init?(of id: Int32) {
        guard let text = Files.read("/proc/\(id)/stat") else { return nil }
        self.init(text)
    }
}
