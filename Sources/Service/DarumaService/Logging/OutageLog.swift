package import DispatchLoop
package import DispatchPostgres
package import Logging
internal import PostgresSession

/// Logs the database's outages: one line at the beginning, one at the end, and one when the cause changes. Failed
/// connects do not get their own lines.
@LoopActor
package final class OutageLog: PoolObserver {
    private let logger: Logger
    private var hasBeenUp = false
    /// Limits the lines about masked interruptions: a proxy that cuts sessions causes one per session.
    private var interruptions = LineLimit(interval: .seconds(60))

    package init(_ logger: Logger) {
        self.logger = logger
        EncryptionWatch.shared.onUnencrypted = { endpoint in
            logger.notice(
                "the session is not encrypted: TLS is not available",
                metadata: [
                    "server": "\(endpoint)",
                    "hint": "sslmode=require refuses sessions without TLS; sslmode=disable does not try TLS.",
                ])
        }
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        switch event {
        case .healthChanged(let from, let to, let outage, let now): stateChanged(from, to, outage, now)
        case .causeChanged(let cause):
            logger.warning("the outage continues with a different cause", metadata: ["cause": "\(cause)"])
        case .growthFailed(let error):
            logger.warning(
                "pool cannot grow; continuing with the open connections", metadata: ["cause": "\(error)"])
        case .retirementPostponed(let error):
            logger.warning(
                "cannot replace a connection at the end of its lifetime; keeping it", metadata: ["cause": "\(error)"])
        case .closed(_, let reason, let error):
            var metadata: Logger.Metadata = ["reason": "\(reason.rawValue)"]
            if let error { metadata["cause"] = "\(error)" }
            logger.debug("connection closed", metadata: metadata)
        case .connected: logger.debug("connection opened")
        case .connectFailed(let error): logger.debug("connect failed", metadata: ["cause": "\(error)"])
        case .retried(let error): logger.debug("query retried on another connection", metadata: ["cause": "\(error)"])
        case .hedged: logger.debug("silent query hedged on another connection")
        case .connecting: break
        }
    }

    private func stateChanged(_ from: DatabaseState, _ to: DatabaseState, _ outage: Outage?, _ now: MonotonicTime) {
        let duration = outage.map { Logger.MetadataValue.duration(now - $0.since) } ?? "?"
        let cause = outage.map { Logger.MetadataValue.string("\($0.cause)") } ?? "?"
        switch to {
        case .up where !hasBeenUp:
            hasBeenUp = true
            logger.info("connected to the database", metadata: ["after": duration])
        case .up where from.failsAtOnce:
            logger.notice(
                "the database is back",
                metadata: [
                    "cause": cause, "down-for": duration,
                    "failed-connects": .stringConvertible(outage?.failedAttempts ?? 0),
                ])
        case .up:
            guard let suppressed = interruptions.pass(at: now) else { break }
            var metadata: Logger.Metadata = ["cause": cause, "for": duration]
            if suppressed > 0 { metadata["more-since-the-last-line"] = .stringConvertible(suppressed) }
            logger.info("short interruption masked; requests were delayed", metadata: metadata)
        case .down, .misconfigured, .readOnly:
            let summary = DatabaseSummary(to, code: outage?.cause.code)
            var metadata: Logger.Metadata = ["cause": cause]
            if outage?.cause.isInvalidConninfo != true { metadata["for"] = duration }
            if to == .misconfigured, let hint = outage?.cause.hint { metadata["hint"] = "\(hint)" }
            logger.error("\(summary.text); \(summary.consequence)", metadata: metadata)
        case .suspect:
            logger.debug("\(DatabaseSummary(to).text)", metadata: ["cause": cause])
        case .draining, .closed: break
        }
    }
}
