internal import FaultLab
internal import PostgresTestKit

/// What a process has resident, and where it comes from.
package struct MemoryMap: Sendable {
    /// One kind of memory.
    package struct Share: Sendable {
        package let name: String
        package let residentKilobytes: Int
        /// Written to since, or never in a file: nobody else has it, and it cannot be dropped.
        package let privateKilobytes: Int
    }

    /// The largest first.
    package let shares: [Share]
    package var residentKilobytes: Int { shares.reduce(0) { $0 + $1.residentKilobytes } }
    package var privateKilobytes: Int { shares.reduce(0) { $0 + $1.privateKilobytes } }

    /// Nil when there is no such process, or it is somebody else's.
    package init?(of id: Int32) {
        guard let text = Files.read("/proc/\(id)/smaps"), !text.isEmpty else { return nil }
        var resident: [String: Int] = [:]
        var own: [String: Int] = [:]
        var name = ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let first = words.first else { continue }
            if !first.hasSuffix(":") {
                // 7f…-7f… r-xp 00001000 fe:00 1234 /usr/lib/libpq.so.5
                name = words.count > 5 ? String(words[5].split(separator: "/").last ?? "") : "[anonymous]"
            } else if words.count > 1, let value = Int(words[1]) {
                if first == "Rss:" { resident[name, default: 0] += value }
                if first == "Anonymous:" { own[name, default: 0] += value }
            }
        }
        shares = resident.map { Share(name: $0, residentKilobytes: $1, privateKilobytes: own[$0] ?? 0) }
            .filter { $0.residentKilobytes > 0 }
            .sorted { ($1.residentKilobytes, $0.name) < ($0.residentKilobytes, $1.name) }
    }
}
