package import DispatchHTTP
package import DispatchLoop
import DispatchPostgres
import HTTP1
import HTTPTypes
import PostgresSession

/// `/livez`, `/readyz`, `/primary`, `/replica`: answered from memory.
///
/// As in Patroni, whose paths the latter two are, `OPTIONS` gets the same status as `GET`, without the body: it is what
/// HAProxy's `option httpchk` sends unless it is told otherwise.
@LoopActor
package struct HealthRoutes {
    /// The paths, for whoever wants to leave them out.
    package nonisolated static let paths: Set<String> = ["/livez", "/readyz", "/primary", "/replica"]

    private let health: ServiceHealth
    /// What `/livez` says nearly always.
    private let live: Response

    package init(_ health: ServiceHealth) {
        self.health = health
        live = PingResponse.json(.ok, .object([("status", .bool(true))])).prepared()
    }

    package func add(to router: inout Router) {
        add("/livez", to: &router) { liveness() }
        add("/readyz", to: &router) { readiness() }
        add("/primary", to: &router) { role(.primary) }
        add("/replica", to: &router) { role(.replica) }
    }

    private func add(_ path: String, to router: inout Router, _ answer: @escaping @LoopActor () -> Response) {
        // Also when all places for connections are taken.
        router.setEssential(path)
        router.get(path) { _ in .now(answer()) }
        router.on(.options, path) { _ in .now(Self.withoutBody(answer())) }
    }

    private static func withoutBody(_ response: Response) -> Response {
        var response = response
        response.body = []
        response.fields[.contentType] = nil
        response.fields[.allow] = "GET, HEAD, OPTIONS"
        return response
    }

    // MARK: Answers

    private func liveness() -> Response {
        let isLive = health.isLive
        let stall = health.stall
        if isLive, stall == nil { return live }
        var members: [(String, JSONValue)] = [("status", .bool(isLive))]
        if !isLive {
            members.append(
                ("error", .object([("message", .string("The event loop keeps falling behind its own clock."))])))
        }
        if let stall {
            members.append(
                (
                    "stall",
                    .object([
                        ("lengthMs", .integer(stall.length.milliseconds)),
                        ("endedMsAgo", .integer(stall.ago.milliseconds)),
                    ])
                ))
        }
        return PingResponse.json(isLive ? .ok : .serviceUnavailable, .object(members))
    }

    /// Ready until the service leaves; a matter of the database only where that is set, because when all replicas share
    /// one, it would take `/` away everywhere at once. The body says how the database is.
    private func readiness() -> Response {
        let isReady = health.isReady
        var members: [(String, JSONValue)] = [("status", .bool(isReady))]
        if health.isLeaving { members.append(("leaving", .bool(true))) }
        if let wait = health.readyIn { members.append(("readyInMs", .integer(max(wait.milliseconds, 0)))) }
        members.append(("database", Self.describe(health.database)))
        var response = PingResponse.json(isReady ? .ok : .serviceUnavailable, .object(members))
        if !isReady { response.fields[.retryAfter] = "1" }
        return response
    }

    /// Whether the database is there and in this role. While it is only suspected, what was last known goes on to hold,
    /// as it does for requests.
    private func role(_ wanted: ServerRole) -> Response {
        let snapshot = health.database
        let isThere = snapshot.health == .up || snapshot.health == .suspect
        let isSo = isThere && snapshot.role == wanted
        return PingResponse.json(
            isSo ? .ok : .serviceUnavailable,
            .object([("status", .bool(isSo)), ("database", Self.describe(snapshot))]))
    }

    private static func describe(_ snapshot: PoolSnapshot) -> JSONValue {
        var members: [(String, JSONValue)] = [("state", .string(snapshot.health.rawValue))]
        if let role = snapshot.role { members.append(("role", .string(role.rawValue))) }
        if let outage = snapshot.outage, let duration = snapshot.outageDuration {
            members.append(("code", .string(outage.cause.code)))
            members.append(("message", .string(outage.cause.message)))
            members.append(("downForMs", .integer(duration.milliseconds)))
        }
        return .object(members)
    }
}
