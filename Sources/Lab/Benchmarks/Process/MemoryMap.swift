internal import PostgresTestKit

/// The resident memory of a process, by its origin.
package struct MemoryMap: Sendable {
    /// The memory of one file, or anonymous memory.
    package struct Share: Sendable {
        package let name: String
        package let residentKilobytes: Int
        /// Anonymous pages, which no other process shares and the kernel cannot drop.
        package let privateKilobytes: Int
    }

    /// Sorted from the largest.
    package let shares: [Share]
    package var residentKilobytes: Int { shares.reduce(0) { $0 + $1.residentKilobytes } }
    package var privateKilobytes: Int { shares.reduce(0) { $0 + $1.privateKilobytes } }

    /// One line for the terminal.
    package var summary: String {
        let texts = [residentKilobytes, privateKilobytes].map { Figure.fixed(Double($0) / 1024, 1) }
        return "\(texts[0]) MiB, of which \(texts[1]) MiB are anonymous, the rest pages of files"
    }

    /// Nil if the process does not exist or belongs to another user.
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
