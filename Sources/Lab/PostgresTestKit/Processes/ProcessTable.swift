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
        identifiers.compactMap(entry).filter { $0.parent == parent }
    }

    /// All processes.
    package static var identifiers: [Int32] { Files.names(in: "/proc").compactMap { Int32($0) } }

    /// The process that listens on a TCP port of IPv4 or IPv6, as far as we may look.
    package static func listener(on port: UInt16) -> Int32? {
        let ending = ":" + String(Int(port) + 0x1_0000, radix: 16, uppercase: true).dropFirst()
        var sockets: Set<String> = []
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            for line in (Files.read(table) ?? "").split(separator: "\n").dropFirst() {
                let fields = line.split(separator: " ")
                // proc(5): the local address, and 0A for LISTEN; the tenth field is the socket's inode.
                if fields.count > 9, fields[1].hasSuffix(ending), fields[3] == "0A" {
                    sockets.insert("socket:[\(fields[9])]")
                }
            }
        }
        return identifiers.first { id in
            let descriptors = Files.names(in: "/proc/\(id)/fd").compactMap { Files.link("/proc/\(id)/fd/\($0)") }
            return !sockets.isDisjoint(with: descriptors)
        }
    }

    /// How many TCP connections, made or being made, a process has to these ports.
    package static func connections(of id: Int32, to ports: Set<UInt16>) -> Int {
        // proc(5): the remote address is the third field.
        sockets(of: id, addressField: 2, ports: ports) { _ in true }
    }

    /// How many TCP connections a process has accepted on this port and still holds.
    package static func connections(of id: Int32, acceptedOn port: UInt16) -> Int {
        // proc(5): the local address is the second field, and 01 is ESTABLISHED.
        sockets(of: id, addressField: 1, ports: [port]) { $0 == "01" }
    }

    private static func sockets(
        of id: Int32, addressField: Int, ports: Set<UInt16>, where isCounted: (Substring) -> Bool
    ) -> Int {
        guard !ports.isEmpty else { return 0 }
        let endings = ports.map { ":" + String(Int($0) + 0x1_0000, radix: 16, uppercase: true).dropFirst() }
        var sockets: Set<String> = []
        for line in (Files.read("/proc/net/tcp") ?? "").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", maxSplits: 10)
            // The state is the fourth field, the socket's inode the tenth.
            if fields.count > 9, isCounted(fields[3]), endings.contains(where: { fields[addressField].hasSuffix($0) }) {
                sockets.insert("socket:[\(fields[9])]")
            }
        }
        return Files.names(in: "/proc/\(id)/fd").count { name in
            Files.link("/proc/\(id)/fd/\(name)").map(sockets.contains) ?? false
        }
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
