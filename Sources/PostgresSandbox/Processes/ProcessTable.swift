import Glibc

/// What /proc says about processes.
package enum ProcessTable {
    /// One process at one moment.
    package struct Entry: Sendable {
        package let id: Int32
        package let state: Character
        package let parent: Int32
        /// In clock ticks since boot: with the id it names a process beyond the reuse of ids.
        package let startTime: UInt64

        /// Zombies hold nothing any more: an init that never reaps must not look like a server that never ends.
        package var hasEnded: Bool { state == "Z" || state == "X" }
        package var isStopped: Bool { state == "T" || state == "t" }
    }

    package static func entry(_ id: Int32) -> Entry? {
        guard let text = Files.read("/proc/\(id)/stat"), let parenthesis = text.lastIndex(of: ")") else { return nil }
        // proc(5): the name, in parentheses, may hold anything; from there on fields are split by spaces.
        let fields = text[text.index(after: parenthesis)...].split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let parent = Int32(fields[1]),
            let startTime = UInt64(fields[19])
        else { return nil }
        return Entry(id: id, state: state, parent: parent, startTime: startTime)
    }

    package static func children(of parent: Int32) -> [Entry] {
        Files.names(in: "/proc").compactMap { Int32($0) }.compactMap(entry).filter { $0.parent == parent }
    }

    /// Whether that very process has ended, or become a zombie.
    package static func hasEnded(_ process: Entry) -> Bool {
        guard let now = entry(process.id), now.startTime == process.startTime else { return true }
        return now.hasEnded
    }

    package static func arguments(of id: Int32) -> [String] {
        (Files.read("/proc/\(id)/cmdline") ?? "").split(separator: "\0").map(String.init)
    }
}
