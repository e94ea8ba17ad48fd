package import DispatchLoop
package import DispatchPostgres
package import Logging
internal import PostgresSession

/// Logs the database's outages: one line at the beginning, one at the end, and one when the cause changes; during an
/// outage at most one for each cause in ten seconds. Failed connects do not get their own lines.
@LoopActor
package final class OutageLog: PoolObserver {
    private let logger: Logger
    private var hasBeenUp = false
    /// Limits the lines about masked interruptions: a proxy that cuts sessions causes one per session.
    private var interruptions = LineLimit(interval: .seconds(60))
    /// Limits the lines of one outage, by cause: behind a proxy two causes may alternate for as long as it lasts.
    private var causes: [String: LineLimit] = [:]

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
        case .healthChanged(let from, let to, let outage, let now):
            stateChanged(from, to, outage, now, pool.configuration.target)
        case .causeChanged(let cause, let now):
            guard var metadata = fields(of: cause, at: now) else { break }
            metadata["cause"] = "\(cause)"
            logger.warning("the outage continues with a different cause", metadata: metadata)
        case .growthFailed(let error):
            logger.warning(
                "pool cannot grow; continuing with the open connections", metadata: ["cause": "\(error)"])
        case .retirementPostponed(let error):
            logger.warning(
                "cannot replace a connection; keeping it", metadata: ["cause": "\(error)"])
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

    /// The field that counts the suppressed lines about this cause; `nil` if this line is to be suppressed as well.
    private func fields(of cause: PostgresError, at now: MonotonicTime) -> Logger.Metadata? {
        // A code, not the whole error: the hosts of a cluster alternate too.
        guard let suppressed = causes[cause.code, default: LineLimit(interval: .seconds(10))].pass(at: now) else {
            return nil
        }
        return suppressed > 0 ? ["more-since-the-last-line": .stringConvertible(suppressed)] : [:]
    }

    private func stateChanged(
        _ from: DatabaseState, _ to: DatabaseState, _ outage: Outage?, _ now: MonotonicTime, _ target: SessionTarget
    ) {
        let cause = outage.map { Logger.MetadataValue.string("\($0.cause)") } ?? "?"
        // Without the time if the outage has just begun: "0 ms" says nothing.
        func causeAndTime(_ name: String) -> Logger.Metadata {
            guard let outage, now - outage.since >= .milliseconds(1) else { return ["cause": cause] }
            return ["cause": cause, name: .duration(now - outage.since)]
        }
        switch to {
        case .up:
            causes.removeAll()
            if !hasBeenUp {
                hasBeenUp = true
                let after = outage.map { Logger.MetadataValue.duration(now - $0.since) } ?? "?"
                logger.info("connected to the database", metadata: ["after": after])
            } else if from.failsAtOnce {
                var metadata = causeAndTime("down-for")
                metadata["failed-connects"] = .stringConvertible(outage?.failedAttempts ?? 0)
                logger.notice("the database is back", metadata: metadata)
            } else if let suppressed = interruptions.pass(at: now) {
                var metadata = causeAndTime("for")
                if suppressed > 0 { metadata["more-since-the-last-line"] = .stringConvertible(suppressed) }
                logger.info("short interruption masked; requests were delayed", metadata: metadata)
            }
        case .down, .misconfigured, .readOnly:
            guard let outage, var metadata = fields(of: outage.cause, at: now) else { break }
            let summary = DatabaseSummary(to, code: outage.cause.code, target: target)
            metadata.merge(outage.cause.isInvalidConninfo ? ["cause": cause] : causeAndTime("for")) { _, field in field
            }
            if to != .down, let hint = outage.cause.hint { metadata["hint"] = "\(hint)" }
            logger.error("\(summary.text); \(summary.consequence)", metadata: metadata)
        case .suspect:
            logger.debug("\(DatabaseSummary(to).text)", metadata: ["cause": cause])
        case .draining, .closed: break
        }
    }
}
