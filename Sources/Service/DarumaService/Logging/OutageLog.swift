package import DispatchLoop
package import DispatchPostgres
package import Logging
internal import PostgresSession

/// Puts the pool's story into the log: one line when the database goes away, one when it is back, one when the reason
/// changes in between. Not one for each try.
@LoopActor
package final class OutageLog: PoolDelegate {
    private let logger: Logger
    private var hasBeenUp = false
    /// A proxy that cuts sessions makes such a moment for each of them.
    private var moments = LineLimit(interval: .seconds(60))

    package init(_ logger: Logger) {
        self.logger = logger
        EncryptionWatch.shared.onUnencrypted = { endpoint in
            logger.notice(
                "the session is not encrypted: TLS was tried and could not be had",
                metadata: [
                    "server": "\(endpoint)",
                    "hint":
                        "With sslmode=require there is no session without TLS; sslmode=disable does not ask for it.",
                ])
        }
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        switch event {
        case .healthChanged(let from, let to, let outage, let now): healthChanged(from, to, outage, now)
        case .causeChanged(let cause):
            logger.warning("the database is still away, for another reason", metadata: ["cause": "\(cause)"])
        case .growthFailed(let error):
            logger.warning(
                "no further connection can be opened; serving with those that work", metadata: ["cause": "\(error)"])
        case .retirementPostponed(let error):
            logger.warning(
                "no successor can be opened for a connection at the end of its lifetime; it serves on",
                metadata: ["cause": "\(error)"])
        case .closed(_, let reason, let error):
            var metadata: Logger.Metadata = ["reason": "\(reason.rawValue)"]
            if let error { metadata["cause"] = "\(error)" }
            logger.debug("connection closed", metadata: metadata)
        case .connected: logger.debug("connection opened")
        case .connectFailed(let error): logger.debug("connect failed", metadata: ["cause": "\(error)"])
        case .retried(let error): logger.debug("query run again on another connection", metadata: ["cause": "\(error)"])
        case .hedged: logger.debug("silent query allowed on another connection as well")
        case .connecting: break
        }
    }

    private func healthChanged(_ from: DatabaseState, _ to: DatabaseState, _ outage: Outage?, _ now: MonotonicTime) {
        let duration = outage.map { Logger.MetadataValue.duration(now - $0.since) } ?? "?"
        let cause = outage.map { Logger.MetadataValue.string("\($0.cause)") } ?? "?"
        switch to {
        case .up where !hasBeenUp:
            hasBeenUp = true
            logger.info("the database is reached", metadata: ["after": duration])
        case .up where from.failsAtOnce:
            logger.notice(
                "the database is back",
                metadata: [
                    "cause": cause, "down-for": duration,
                    "failed-connects": .stringConvertible(outage?.failedAttempts ?? 0),
                ])
        case .up:
            guard let heldBack = moments.pass(at: now) else { break }
            var metadata: Logger.Metadata = ["cause": cause, "for": duration]
            if heldBack > 0 { metadata["more-since-the-last-line"] = .stringConvertible(heldBack) }
            logger.info("the database was away for a moment; requests waited", metadata: metadata)
        case .down, .misconfigured, .readOnly:
            let isOwnSetting = outage?.cause.isInvalidConninfo ?? false
            let text: Logger.Message =
                switch to {
                case .misconfigured where isOwnSetting: "the database setting cannot be used"
                case .misconfigured: "the database refuses the log-in; a setting has to be mended"
                case .readOnly: "the database is read-only; looking for one that takes writes"
                default: "the database is down"
                }
            var metadata: Logger.Metadata = ["cause": cause]
            if !isOwnSetting { metadata["for"] = duration }
            if to == .misconfigured, let hint = outage?.cause.hint { metadata["hint"] = "\(hint)" }
            logger.error(text, metadata: metadata)
        case .suspect:
            logger.debug("the database is suspect", metadata: ["cause": cause])
        case .draining, .closed: break
        }
    }
}
