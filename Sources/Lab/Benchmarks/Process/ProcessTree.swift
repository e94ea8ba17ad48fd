internal import FaultLab
internal import Glibc
internal import PostgresTestKit

/// What a process and all its descendants have used, by the kernel's accounting: threads, workers and children that
/// have ended are all in it.
package struct ProcessTree: Sendable, Equatable {
    /// User and system time in microseconds. The kernel gives it in hundredths of a second.
    package let processorMicroseconds: Int
    /// The sum of what each has resident. Pages that several share count several times.
    package let residentKilobytes: Int

    /// Nil when there is no such process.
    package init?(_ root: Int32) {
        var parents: [Int32: [Int32]] = [:]
        for id in ProcessTable.identifiers {
            if let entry = ProcessTable.entry(id) { parents[entry.parent, default: []].append(id) }
        }
        var ticks = 0
        var resident = 0
        var open = [root]
        var isThere = false
        while let id = open.popLast() {
            open += parents[id] ?? []
            guard let text = Files.read("/proc/\(id)/stat"), let parenthesis = text.lastIndex(of: ")") else { continue }
            if id == root { isThere = true }
            let fields = text[text.index(after: parenthesis)...].split(separator: " ")
            guard fields.count > 21 else { continue }
            // proc(5): utime, stime, cutime and cstime, the latter of children that have ended and been waited for.
            ticks += fields[11...14].reduce(0) { $0 + (Int($1) ?? 0) }
            resident += (Int(fields[21]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
        }
        guard isThere else { return nil }
        processorMicroseconds = ticks * 1_000_000 / Int(sysconf(Int32(_SC_CLK_TCK)))
        residentKilobytes = resident
    }
}
