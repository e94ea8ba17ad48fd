package import DispatchHTTP
package import DispatchLoop
import DispatchPostgres
import HTTP1
import HTTPTypes
import PostgresSession

/// `/livez`, `/readyz`, `/primary` and `/replica`, answered from memory.
///
/// The latter two paths are Patroni's. As there, `OPTIONS` gets the status of `GET` without the body: HAProxy's
/// `option httpchk` sends it by default.
@LoopActor
package struct HealthRoutes {
    /// The paths, for the access log.
    package nonisolated static let paths: Set<String> = ["/livez", "/readyz", "/primary", "/replica"]

    private let health: ServiceHealth
    /// The usual answer of `/livez`.
    private let live: Response

    package init(_ health: ServiceHealth) {
        self.health = health
        live = .json(.ok, .object([("status", .bool(true))])).prepared()
    }

    package func add(to router: inout Router) {
        add("/livez", to: &router) { liveness() }
        add("/readyz", to: &router) { readiness() }
        add("/primary", to: &router) { role(.primary) }
        add("/replica", to: &router) { role(.replica) }
    }

    private func add(_ path: String, to router: inout Router, _ answer: @escaping @LoopActor () -> Response) {
        // Reserved connections answer these paths when the server is full.
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
                        ("lengthMs", .integer(stall.length.wholeMilliseconds)),
                        ("endedMsAgo", .integer(stall.ago.wholeMilliseconds)),
                    ])
                ))
        }
        return .json(isLive ? .ok : .serviceUnavailable, .object(members))
    }

    /// Ready until the shutdown begins. The database matters only if a setting requires it, because all replicas share
    /// it and `/` would fail everywhere at once. The body reports the database's state.
    private func readiness() -> Response {
        let isReady = health.isReady
        var members: [(String, JSONValue)] = [("status", .bool(isReady))]
        if health.isShuttingDown { members.append(("leaving", .bool(true))) }
        if let wait = health.readyIn { members.append(("readyInMs", .integer(max(wait.wholeMilliseconds, 0)))) }
        members.append(("database", Self.describe(health.database)))
        var response = Response.json(isReady ? .ok : .serviceUnavailable, .object(members))
        if !isReady { response.fields[.retryAfter] = "1" }
        return response
    }

    /// Whether the database is known to have this role.
    private func role(_ wanted: ServerRole) -> Response {
        let snapshot = health.database
        let hasRole = snapshot.knownRole == wanted
        return .json(
            hasRole ? .ok : .serviceUnavailable,
            .object([("status", .bool(hasRole)), ("database", Self.describe(snapshot))]))
    }

    private static func describe(_ snapshot: PoolSnapshot) -> JSONValue {
        var members: [(String, JSONValue)] = [("state", .string(snapshot.health.rawValue))]
        if let role = snapshot.knownRole { members.append(("role", .string(role.rawValue))) }
        if let outage = snapshot.outage, let duration = snapshot.outageDuration {
            members.append(("code", .string(outage.cause.code)))
            members.append(("message", .string(outage.cause.message)))
            members.append(("downForMs", .integer(duration.wholeMilliseconds)))
        }
        return .object(members)
    }
}
