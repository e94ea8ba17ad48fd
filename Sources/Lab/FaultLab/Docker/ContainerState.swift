/// What the engine says of a container.
package struct ContainerState: Sendable, Equatable {
    package let id: String
    package let name: String
    package let isRunning: Bool
    /// The id of its first process, where the engine runs; 0 while it does not run.
    package let process: Int32
    /// When it was last started, in the engine's words.
    package let startedAt: String
    /// How often the engine has restarted it by its restart policy.
    package let restarts: Int
    package let environment: [String: String]
    package let labels: [String: String]
    /// Its address in the first of its networks; loopback for one in the engine's own network.
    package let address: String
    /// Its own TCP ports, exposed or published, in ascending order.
    package let ports: [UInt16]

    /// Reads the answer to `GET /containers/<id>/json`.
    package init?(_ json: JSONText) {
        guard let id = json["Id"]?.string, let state = json["State"], let config = json["Config"] else { return nil }
        self.id = id
        name = String((json["Name"]?.string ?? id).drop { $0 == "/" })
        if case .bool(true) = state["Running"] { isRunning = true } else { isRunning = false }
        process = Int32(state["Pid"]?.number ?? 0)
        startedAt = state["StartedAt"]?.string ?? ""
        restarts = Int(json["RestartCount"]?.number ?? 0)
        environment = (config["Env"]?.elements ?? []).reduce(into: [:]) { variables, entry in
            let parts = (entry.string ?? "").split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        }
        labels = (config["Labels"]?.members ?? []).reduce(into: [:]) { $0[$1.0] = $1.1.string }
        let networks = (json["NetworkSettings"]?["Networks"]?.members ?? []).sorted { $0.0 < $1.0 }
        address = networks.compactMap { $0.1["IPAddress"]?.string }.first { !$0.isEmpty } ?? "127.0.0.1"
        let exposed = (json["NetworkSettings"]?["Ports"]?.members ?? []) + (config["ExposedPorts"]?.members ?? [])
        ports = Set(
            exposed.compactMap { name, _ in name.hasSuffix("/tcp") ? UInt16(name.dropLast("/tcp".count)) : nil }
        ).sorted()
    }
}
