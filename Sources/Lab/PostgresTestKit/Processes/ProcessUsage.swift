import Glibc

/// What a process holds and has used, from /proc: what must not grow from outage to outage.
package struct ProcessUsage: Sendable, Equatable {
    package let fileDescriptors: Int
    package let threads: Int
    package let residentKilobytes: Int
    /// User and system time.
    package let processorTime: Duration

    /// Nil when there is no such process, or it is somebody else's.
    package init?(of id: Int32) {
        guard let status = Files.read("/proc/\(id)/status"), let stat = Files.read("/proc/\(id)/stat"),
            let parenthesis = stat.lastIndex(of: ")")
        else { return nil }
        var fields: [Substring: Int] = [:]
        for line in status.split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
            if parts.count >= 2, let value = Int(parts[1]) { fields[parts[0]] = value }
        }
        let numbers = stat[stat.index(after: parenthesis)...].split(separator: " ").map { Int($0) ?? 0 }
        let descriptors = Files.names(in: "/proc/\(id)/fd").count
        guard let threads = fields["Threads"], numbers.count > 12, descriptors > 0 else { return nil }
        fileDescriptors = descriptors
        self.threads = threads
        residentKilobytes = fields["VmRSS"] ?? 0
        processorTime = .milliseconds(Int64(numbers[11] + numbers[12]) * 1000 / Int64(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// The same without so many descriptors.
    package func without(descriptors count: Int) -> ProcessUsage {
        ProcessUsage(
            fileDescriptors: fileDescriptors - count, threads: threads, residentKilobytes: residentKilobytes,
            processorTime: processorTime)
    }

    private init(fileDescriptors: Int, threads: Int, residentKilobytes: Int, processorTime: Duration) {
        self.fileDescriptors = fileDescriptors
        self.threads = threads
        self.residentKilobytes = residentKilobytes
        self.processorTime = processorTime
    }
}
