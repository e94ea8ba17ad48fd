import DispatchLoop
import PostgresSession

/// The replacement of one listening session by another.
struct Handover {
    /// Present while the hub waits for a connection.
    var waiter: WaiterID?
    var successor: ListeningSession?
    /// A channel of its own, on which the successor notifies both.
    let marker = "handover_" + String(UInt64.random(in: 0 ... .max), radix: 36)
    /// Notifications that the successor received after the marker, before the old session received the marker.
    var backlog: [Notification] = []
    var timeout: TimerID?
}

// Both sessions listen for a while, and PostgreSQL delivers notifications to all sessions in commit order. A
// notification of our own, the marker, therefore cuts both streams at the same point: the old session delivers what
// precedes it, the successor what follows, and nothing is lost or delivered twice.
extension SubscriptionHub {
    func beginHandover(from session: ListeningSession) {
        // With one slot the successor can only come afterwards, with a gap.
        if pool.settings.maximum == 1 { return pool.discard(session.leased.id, .lifetime) }
        handover = Handover()
        let waiter = pool.request(deadline: loop.now + pool.settings.connectTimeout) { outcome in
            self.handover?.waiter = nil
            switch outcome {
            case .success(let leased): self.prepare(leased)
            case .failure: self.handover = nil  // Maintenance tries again.
            }
        }
        handover?.waiter = waiter
    }

    private func prepare(_ leased: PostgresPool.Leased) {
        guard case .listening(let old) = state, let marker = handover?.marker else { return pool.giveBack(leased) }
        let successor = makeSession(leased)
        successor.awaitedMarker = marker
        handover?.successor = successor
        // Without the marker the sessions are at different servers; the old one is then closed, with a gap.
        handover?.timeout = loop.schedule(at: loop.now + pool.settings.connectTimeout) { [weak self] in
            self?.pool.discard(old.leased.id, .lifetime)
        }
        old.listen(marker) { [weak self] result in
            guard let self, handover?.successor === successor else { return }
            guard case .success = result else { return cancelHandover() }
            for channel in Array(channels.keys) + [marker] {
                successor.listen(channel) { [weak self] in self?.check($0, of: successor) }
            }
            successor.notify(marker) { [weak self] in self?.check($0, of: successor) }
        }
    }

    private func check(_ result: Result<QueryResult, PostgresError>, of successor: ListeningSession) {
        guard case .failure(let error) = result, handover?.successor === successor else { return }
        handoverBlockedUntil = loop.now + nextRefusalWait()
        cancelHandover(.listenRefused, error)
    }

    /// A session received a notification.
    func received(_ notification: Notification, on session: ListeningSession) {
        if let marker = session.awaitedMarker {
            // The old session delivers what precedes the marker.
            if notification.channel == marker { session.awaitedMarker = nil }
        } else if handover?.successor === session {
            handover?.backlog.append(notification)
        } else if notification.channel == handover?.marker {
            finishHandover(from: session)
        } else {
            publish(notification)
        }
    }

    private func finishHandover(from old: ListeningSession) {
        guard let handover, let successor = handover.successor else { return }
        forgetHandover()
        refusals = 0
        old.stop()
        state = .listening(successor)
        for notification in handover.backlog { publish(notification) }
        armMaintenance()
        // Not from within the session's own callback.
        loop.submit { [weak pool] in pool?.discard(old.leased.id, .lifetime) }
    }

    /// Abandons the handover; the old session continues. Maintenance tries again.
    func cancelHandover(_ reason: SessionCloseReason = .unsubscribed, _ error: PostgresError? = nil) {
        guard let handover else { return }
        forgetHandover()
        if let waiter = handover.waiter { pool.withdraw(waiter) }
        guard let successor = handover.successor else { return }
        successor.stop()
        pool.discard(successor.leased.id, reason, error)
    }

    func forgetHandover() {
        if let timeout = handover?.timeout { loop.cancel(timeout) }
        handover = nil
    }
}
