/// Processes and their sockets, from /proc.
package enum ProcessTable {
    /// One process at one moment.
    package struct Entry: Sendable {
        package let id: Int32
        package let state: Character
        package let parent: Int32
        /// In clock ticks since boot. Together with the id it stays unique when the kernel reuses ids.
        package let startTime: UInt64

        /// Zombies count as ended: in containers an init may never reap them.
        package var hasEnded: Bool { state == "Z" || state == "X" }
        package var isStopped: Bool { state == "T" || state == "t" }
    }

    package static func entry(_ id: Int32) -> Entry? {
        ProcessStat(of: id).map { Entry(id: id, state: $0.state, parent: $0.parent, startTime: $0.startTime) }
    }

    package static func children(of parent: Int32) -> [Entry] {
        identifiers.compactMap(entry).filter { $0.parent == parent }
    }

    /// The ids of all processes.
    package static var identifiers: [Int32] { Files.names(in: "/proc").compactMap { Int32($0) } }

    /// The process that listens on a TCP port of IPv4 or IPv6, if this user may inspect it.
    package static func listener(on port: UInt16) -> Int32? {
        // proc(5): the local address is the second field, and 0A is LISTEN.
        let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].reduce(into: Set<String>()) {
            $0.formUnion(Self.sockets(in: $1, addressField: 1, ports: [port]) { $0 == "0A" })
        }
        return sockets.isEmpty ? nil : identifiers.first { count(of: sockets, heldBy: $0) > 0 }
    }

    /// How many TCP connections, established or pending, a process has to these ports.
    package static func connections(of id: Int32, to ports: Set<UInt16>) -> Int {
        // proc(5): the remote address is the third field. The process may be in a network of its own.
        count(of: sockets(in: "/proc/\(id)/net/tcp", addressField: 2, ports: ports) { _ in true }, heldBy: id)
    }

    /// How many TCP connections a process has accepted on this port and still holds.
    package static func connections(of id: Int32, acceptedOn port: UInt16) -> Int {
        // proc(5): 01 is ESTABLISHED.
        count(of: sockets(in: "/proc/\(id)/net/tcp", addressField: 1, ports: [port]) { $0 == "01" }, heldBy: id)
    }

    /// The sockets in a table like /proc/net/tcp, as /proc/<pid>/fd names them.
    private static func sockets(
        in table: String, addressField: Int, ports: Set<UInt16>, where isCounted: (Substring) -> Bool
    ) -> Set<String> {
        guard !ports.isEmpty else { return [] }
        let endings = ports.map { ":" + String(Int($0) + 0x1_0000, radix: 16, uppercase: true).dropFirst() }
        var sockets: Set<String> = []
        for line in (Files.read(table) ?? "").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", maxSplits: 10)
            // The fourth field is the state, the tenth the socket's inode.
            if fields.count > 9, isCounted(fields[3]), endings.contains(where: { fields[addressField].hasSuffix($0) }) {
                sockets.insert("socket:[\(fields[9])]")
            }
        }
        return sockets
    }

    private static func count(of sockets: Set<String>, heldBy id: Int32) -> Int {
        guard !sockets.isEmpty else { return 0 }
        return Files.names(in: "/proc/\(id)/fd").count { name in
            Files.link("/proc/\(id)/fd/\(name)").map(sockets.contains) ?? false
        }
    }

    /// Whether exactly this process has ended or become a zombie.
    package static func hasEnded(_ process: Entry) -> Bool {
        guard let now = entry(process.id), now.startTime == process.startTime else { return true }
        return now.hasEnded
    }

    package static func arguments(of id: Int32) -> [String] {
        (Files.read("/proc/\(id)/cmdline") ?? "").split(separator: "\0").map(String.init)
    }
}
