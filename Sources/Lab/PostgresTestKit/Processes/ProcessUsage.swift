/// Resources of a process, from /proc: they must not grow from outage to outage.
package struct ProcessUsage: Sendable, Equatable {
    package private(set) var fileDescriptors: Int
    package let threads: Int
    package let residentKilobytes: Int
    /// User and system time.
    package let processorTime: Duration

    /// Nil if the process does not exist or belongs to another user.
    package init?(of id: Int32) {
        guard let status = Files.read("/proc/\(id)/status"), let stat = ProcessStat(of: id) else { return nil }
        var fields: [Substring: Int] = [:]
        for line in status.split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
            if parts.count >= 2, let value = Int(parts[1]) { fields[parts[0]] = value }
        }
        let descriptors = Files.names(in: "/proc/\(id)/fd").count
        guard let threads = fields["Threads"], descriptors > 0 else { return nil }
        fileDescriptors = descriptors
        self.threads = threads
        residentKilobytes = fields["VmRSS"] ?? 0
        processorTime = stat.processorTime
    }

    /// The same usage, less `count` descriptors.
    package func without(descriptors count: Int) -> ProcessUsage {
        var usage = self
        usage.fileDescriptors -= count
        return usage
    }
}
