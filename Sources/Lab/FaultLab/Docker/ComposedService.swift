package import PostgresTestKit

/// The service and its database as Docker Compose runs them, found by the labels that Compose gives its containers.
package struct ComposedService: Sendable {
    package let service: ContainerState
    package let database: ContainerDatabase
    /// Where the service listens in its network.
    package let address: ServiceAddress
    private let engine: ContainerEngine

    /// Asks the engine, and changes nothing.
    ///
    /// - Parameters:
    ///   - project: the name of the Compose project; nil if there is only one with these services.
    ///   - name: the Compose service that is measured.
    ///   - databaseName: the Compose service whose container is stopped and started.
    package static func find(
        on engine: ContainerEngine, project: String?, name: String = "daruma", databaseName: String = "postgres"
    ) async throws -> ComposedService {
        let service = try await container(of: name, project, on: engine)
        // Both of one project.
        let found = service.labels[Label.project] ?? project
        let database = try await container(of: databaseName, found, on: engine)
        guard let port = service.environment["PORT"].flatMap({ UInt16($0) }) ?? service.ports.first else {
            throw SandboxError(.service, "the container \(service.name) of the service exposes no TCP port")
        }
        let control = try ContainerDatabase(database, engine: engine)
        try await control.waitForLogins(within: .seconds(5))
        return ComposedService(
            service: service, database: control, address: ServiceAddress(host: service.address, port: port),
            engine: engine)
    }

    private enum Label {
        static let project = "com.docker.compose.project"
        static let service = "com.docker.compose.service"
        static let oneOff = "com.docker.compose.oneoff"
    }

    private static func container(
        of name: String, _ project: String?, on engine: ContainerEngine
    ) async throws -> ContainerState {
        var labels = ["\(Label.service)=\(name)", "\(Label.oneOff)=False"]
        if let project { labels.append("\(Label.project)=\(project)") }
        let found = try await engine.containers(labels: labels)
        let place = project.map { " of the project \($0)" } ?? ""
        guard let container = found.first else {
            throw SandboxError(
                .notRunning, "there is no container of the service \(name)\(place): docker compose up --build --detach")
        }
        guard found.count == 1 else {
            let names = found.map(\.name).sorted().joined(separator: ", ")
            throw SandboxError(.notRunning, "several containers are \(name)\(place): \(names); choose with --project")
        }
        guard container.isRunning else {
            throw SandboxError(
                .notRunning, "the container \(container.name) does not run: docker compose start \(name)")
        }
        return container
    }

    /// The service's own process; nil where this program cannot see it.
    package var process: Int32? {
        ProcessUsage(of: service.process) == nil ? nil : service.process
    }

    /// How long the service lets requests wait for a lost database, and at most in all.
    package var limits: (grace: Duration, deadline: Duration) {
        (
            Self.duration(service.environment["DARUMA_OUTAGE_GRACE"]) ?? .milliseconds(750),
            Self.duration(service.environment["DARUMA_PING_TIMEOUT"]) ?? .seconds(1)
        )
    }

    /// The promises for this service's settings.
    package var promises: Invariants {
        var promises = Invariants()
        promises.pingDeadline = limits.deadline + .milliseconds(50)
        // The engine works on the same processors while it stops and starts containers: measured, 42 ms for the slowest
        // of 78 answers during a restart.
        promises.rootFloor = .milliseconds(60)
        promises.maximumConnections = service.environment["DARUMA_POOL_MAX"].flatMap { Int($0) } ?? 10
        return promises
    }

    /// Whether one process has served throughout: the engine restarts a container that ends, unseen from outside.
    package func checks() async throws -> [Check] {
        let now = try await engine.inspect(service.id)
        let isSame =
            now.process == service.process && now.startedAt == service.startedAt && now.restarts == service.restarts
        let what = process == nil ? " (this program may not look into it: descriptors and memory are not measured)" : ""
        return [
            Check(
                isKept: isSame,
                text: isSame
                    ? "process \(service.process) of the container \(service.name) served throughout\(what)"
                    : "the container \(service.name) has ended or was restarted: process \(service.process) is now "
                        + "\(now.process), started at \(now.startedAt)")
        ]
    }

    /// `750ms`, `1.5s`, `2m`, as the service's settings have them.
    static func duration(_ text: String?) -> Duration? {
        guard let text else { return nil }
        let units: [(String, Double)] = [("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600)]
        for (unit, seconds) in units where text.hasSuffix(unit) {
            if let value = Double(text.dropLast(unit.count)) { return .seconds(value * seconds) }
        }
        return nil
    }
}

extension Fault {
    /// The fault with the limits of a service that lets requests wait for `grace`, and of a database in a container: its
    /// name is there before its address answers.
    package func inContainer(grace: Duration, deadline: Duration) -> Fault {
        let margin = Duration.milliseconds(50)
        var fault = self
        guard case .outage(_, let established, let fast, _) = expectation else { return self }
        let isSilent = established > .zero
        fault.expectation = .outage(
            grace: (isSilent ? deadline : grace) + margin, established: isSilent ? deadline + .seconds(1) : .zero,
            fast: fast, back: .milliseconds(300))
        return fault
    }
}
