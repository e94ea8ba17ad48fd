internal import Glibc
internal import PostgresTestKit

/// A container engine, through the HTTP API on its socket, so that nothing but the engine is needed: no `docker`, no
/// plugin. Paths without a version are those of Docker's Engine API (https://docs.docker.com/reference/api/engine/).
package struct ContainerEngine: Sendable {
    private let socket: String

    package init(socket: String) { self.socket = socket }

    /// The engine that `DOCKER_HOST` names, or the one at the usual place.
    package static func fromEnvironment() throws -> ContainerEngine {
        guard let named = getenv("DOCKER_HOST"), named[0] != 0 else {
            return ContainerEngine(socket: "/var/run/docker.sock")
        }
        let host = String(cString: named)
        guard host.hasPrefix("unix://") else {
            throw SandboxError(
                .launch, "DOCKER_HOST is \(host), but only the socket of an engine on this machine works (unix://…)")
        }
        return ContainerEngine(socket: String(host.dropFirst("unix://".count)))
    }

    /// The containers with these labels, running or not.
    package func containers(labels: [String]) async throws -> [ContainerState] {
        let filter = JSONText.object([("label", .array(labels.map(JSONText.text)))])
        let list = try await request("GET", "/containers/json?all=true&filters=\(filter.text.percentEncoded)")
        var states: [ContainerState] = []
        for element in list.elements {
            if let id = element["Id"]?.string { states.append(try await inspect(id)) }
        }
        return states
    }

    package func inspect(_ id: String) async throws -> ContainerState {
        let path = "/containers/\(id)/json"
        let json = try await request("GET", path)
        guard let state = ContainerState(json) else {
            throw SandboxError(.commandFailed, "the container engine's answer to GET \(path) has no state")
        }
        return state
    }

    /// `stop`, `start`, `restart`, `kill`, `pause` or `unpause`, as the command of that name does. Returns when it is
    /// done.
    package func perform(_ verb: String, on id: String) async throws {
        _ = try await request("POST", "/containers/\(id)/\(verb)")
    }

    private func request(_ method: String, _ path: String) async throws -> JSONText {
        let socket = self.socket
        let answer = await offCooperativeThreads {
            HTTPProbe.send(method, path, toSocket: socket, limit: .seconds(60))
        }
        switch answer {
        case .failed(let reason):
            throw SandboxError(
                .launch,
                "no container engine answers at \(socket): \(reason); is it running, and may this user use it?")
        case .answered(let status, let body):
            let json = JSONText(reading: body)
            // 304: it is in that state already.
            guard (200..<300).contains(status) || status == 304 else {
                throw SandboxError(
                    .commandFailed,
                    "the container engine refused \(method) \(path): \(status) \(json?["message"]?.string ?? "")")
            }
            return json ?? .null
        }
    }
}
