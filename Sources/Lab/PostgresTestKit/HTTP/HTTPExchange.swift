/// One request and its outcome.
package struct HTTPExchange: Sendable {
    package let path: String
    package let begin: ContinuousClock.Instant
    /// From before connecting or sending until the last byte or the failure.
    package let latency: Duration
    package let outcome: Outcome

    /// How the exchange ended.
    package enum Outcome: Sendable, Equatable {
        case answered(status: Int, body: String)
        /// No complete answer: `refused`, `timed out`, `closed`, `reset` or the system's own text.
        case failed(String)
    }

    package init(path: String, begin: ContinuousClock.Instant, latency: Duration, outcome: Outcome) {
        self.path = path
        self.begin = begin
        self.latency = latency
        self.outcome = outcome
    }

    package var end: ContinuousClock.Instant { begin + latency }

    package var status: Int? {
        if case .answered(let status, _) = outcome { status } else { nil }
    }

    package var body: String {
        if case .answered(_, let body) = outcome { body } else { "" }
    }

    package var isGood: Bool { status == 200 }

    /// The `code` of a JSON error answer: an SQLSTATE or a connection-level code.
    package var errorCode: String? {
        guard let key = body.firstRange(of: "\"code\"") else { return nil }
        let value = body[key.upperBound...].drop { $0 == " " || $0 == ":" }
        guard value.first == "\"" else { return nil }
        return String(value.dropFirst().prefix { $0 != "\"" })
    }

    /// The outcome in one or two words: `200`, `400 57P01`, `refused`.
    package var summary: String {
        switch outcome {
        case .answered(let status, _): [String(status), errorCode ?? ""].filter { !$0.isEmpty }.joined(separator: " ")
        case .failed(let reason): reason
        }
    }
}
