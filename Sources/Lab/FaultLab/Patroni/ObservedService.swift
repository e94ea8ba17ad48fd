import PostgresTestKit

/// A service of the cluster's check, its clients, and what they saw.
final class ObservedService: Sendable {
    struct Plan: Sendable {
        /// Its `application_name` at the servers, too.
        let name: String
        let databaseURL: String
        var arguments: [String] = []
        var grace = Duration.milliseconds(750)
        var wantsStandby = false
        /// Whether it reaches the servers through HAProxy only.
        var isBehindProxy = false
    }

    let plan: Plan
    let process: ServiceProcess
    let address: ServiceAddress
    let timeline = Timeline()
    let connects: ConnectRate
    private let clients: [ProbeLoop]

    /// Starts the service, and its clients once it listens.
    init(_ plan: Plan, at place: ClusterNetwork.Place) async throws {
        self.plan = plan
        let port = try PortReservation.unreserved()
        let command = [
            try ServiceProcess.darumaBinary(), "serve", "--host", place.host, "--port", "\(port)", "--pool-min", "3",
        ]
        process = try await ServiceProcess.start(
            place.prefix + command + plan.arguments,
            environment: ["DATABASE_URL": plan.databaseURL, "PORT": nil, "HOST": nil])
        address = ServiceAddress(host: place.host, port: port)
        let (target, seen) = (self.address, self.timeline)
        let isListening = try await Deadline(in: .seconds(20)).wait(every: .milliseconds(20)) {
            await HTTPProbe.get("/", host: target.host, port: target.port, limit: .seconds(1)).isGood
        }
        guard isListening else {
            throw SandboxError(.service, "the service \(plan.name) does not listen", logTail: process.logTail)
        }
        connects = ConnectRate(of: process.id)
        clients = [("/", 20), ("/ping", 20), ("/ping", 20), ("/primary", 50), ("/replica", 50)].map { path, pause in
            ProbeLoop(target, path: path, every: .milliseconds(pause), limit: .seconds(8), into: seen)
        }
    }

    /// Ends the clients and the service. Returns the service's exit.
    func stop() async throws -> ServiceProcess.Exit {
        await ProbeLoop.stop(clients)
        await connects.stop()
        return try await process.stop()
    }

    /// Whether every `/ping` that ended in the latest second was good.
    var isWell: Bool {
        let latest = timeline.exchanges(on: "/ping", endedAfter: ContinuousClock.now - .seconds(1))
        return latest.count > 10 && latest.allSatisfy(\.isGood)
    }

    func figures(_ moments: ClusterFigures.Moments) -> ClusterFigures {
        func exchanges(_ path: String) -> [HTTPExchange] { timeline.exchanges(on: path, endedAfter: moments.begin) }
        return ClusterFigures(
            root: exchanges("/"), ping: exchanges("/ping"), primary: exchanges("/primary"),
            replica: exchanges("/replica"), moments, wantsStandby: plan.wantsStandby)
    }

    /// The warnings and errors that the service has logged since its log was this long.
    func complaints(since length: Int) -> [Substring] {
        (Files.read(process.logPath, from: length) ?? "").split(separator: "\n").filter {
            $0.contains(" warning ") || $0.contains(" error ")
        }
    }
}
