import PostgresTestKit

/// Where the members of a cluster run: all on the loopback address, or each in a network namespace of its own on one
/// bridge, where a member can be cut off and its connects can be counted.
package struct ClusterNetwork: Sendable {
    /// The place of one member.
    struct Place: Sendable {
        let name: String
        let host: String
        /// The words before a command that runs there.
        let prefix: [String]
        /// The bridge's side of its cable; nil on the loopback address.
        let cable: String?

        /// Cuts the cable: packets are lost without an answer.
        func cutOff() async throws { try await switchCable("down") }
        func reconnect() async throws { try await switchCable("up") }

        private func switchCable(_ state: String) async throws {
            guard let cable else { throw SandboxError(.service, "\(name) is on the loopback address: it has no cable") }
            try await ClusterNetwork.ip("ip link set \(cable) \(state)")
        }
    }

    private let isBridged: Bool

    /// All on the loopback address.
    package static let loopback = ClusterNetwork(isBridged: false)

    /// An address at which no machine answers.
    static let deadHost = "10.77.0.99"
    /// The address of this process on the bridge.
    private static let own = "10.77.0.254"

    /// Makes the bridge. The process must have a network namespace and a mount namespace of its own, as scripts/ha-check
    /// gives it.
    package static func bridged() async throws -> ClusterNetwork {
        // The heading and no route: a namespace in which nothing is set up yet.
        guard (Files.read("/proc/net/route") ?? "").split(separator: "\n").count <= 1 else {
            throw SandboxError(.launch, "a cluster needs a network namespace of its own: use scripts/ha-check")
        }
        try await ip(
            """
            ip link set lo up
            mkdir -p /run/netns
            mount -t tmpfs none /run/netns
            ip link add daruma0 type bridge
            ip address add \(own)/24 dev daruma0
            ip link set daruma0 up
            """)
        return ClusterNetwork(isBridged: true)
    }

    /// This process's own place.
    var here: Place { Place(name: "here", host: isBridged ? Self.own : "127.0.0.1", prefix: [], cable: nil) }

    /// Makes a place. The number, from 1 to 98, is its address.
    func place(_ name: String, number: Int) async throws -> Place {
        guard isBridged else { return Place(name: name, host: "127.0.0.1", prefix: [], cable: nil) }
        let (host, cable) = ("10.77.0.\(number)", "cable\(number)")
        try await Self.ip(
            """
            ip netns add \(name)
            ip link add \(cable) type veth peer name eth0 netns \(name)
            ip link set \(cable) master daruma0 up
            ip -n \(name) address add \(host)/24 dev eth0
            ip -n \(name) link set eth0 up
            ip -n \(name) link set lo up
            """)
        return Place(name: name, host: host, prefix: [Self.program, "netns", "exec", name], cable: cable)
    }

    private static let program = ["/usr/sbin/ip", "/sbin/ip"].first(where: Files.isExecutable) ?? "/usr/bin/ip"

    private static func ip(_ script: String) async throws {
        let commands = "set -e\nPATH=$PATH:/usr/sbin:/sbin\n" + script
        try await Command(executable: "/bin/sh", arguments: ["-c", commands]).run()
    }
}
