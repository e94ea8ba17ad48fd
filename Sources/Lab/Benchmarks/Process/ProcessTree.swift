internal import PostgresTestKit

/// The resources of a process and all its descendants, by the kernel's accounting. Includes threads, and children that
/// have ended.
package struct ProcessTree: Sendable, Equatable {
    /// User and system time in microseconds. The kernel counts in hundredths of a second.
    package let processorMicroseconds: Int
    /// The sum over all processes. Shared pages count several times.
    package let residentKilobytes: Int

    /// Nil if the process does not exist.
    package init?(_ root: Int32) {
        var all: [Int32: ProcessStat] = [:]
        for id in ProcessTable.identifiers { all[id] = ProcessStat(of: id) }
        guard all[root] != nil else { return nil }
        let children = Dictionary(grouping: all.keys) { all[$0]?.parent ?? 0 }
        var time = Duration.zero
        var resident = 0
        var open = [root]
        while let id = open.popLast() {
            open += children[id] ?? []
            guard let stat = all[id] else { continue }
            time += stat.processorTime + stat.childProcessorTime
            resident += stat.residentKilobytes
        }
        processorMicroseconds = Int((time.fractionalMilliseconds * 1000).rounded())
        residentKilobytes = resident
    }
}
