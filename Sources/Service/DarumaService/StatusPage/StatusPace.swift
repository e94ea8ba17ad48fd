internal import DispatchLoop
internal import DispatchPostgres

/// The speed of the database in round figures, which do not change with every answer.
struct StatusPace: Sendable, Hashable {
    /// The usual duration of an answer and of a login, in milliseconds, rounded up to 1, 2 or 5 times a power of ten;
    /// `nil` before the first.
    let answer, login: Int?
    /// The silence after which the pool currently suspects a query's connection, in milliseconds.
    let silence: Int

    /// The answer time, in milliseconds, from which people notice the delay.
    private static let slowFrom = 200

    var isSlow: Bool { answer.map { $0 >= Self.slowFrom } ?? false }

    /// A sentence; empty before the first answer.
    var text: String {
        guard let answer else { return "" }
        let login = login.map { ", a login \($0) ms" } ?? ""
        return "An answer usually takes up to \(answer) ms\(login); silence is unusual after \(silence) ms."
    }

    init(answer: Duration?, login: Duration?, silence: Duration) {
        self.answer = answer.map(Self.rounded)
        self.login = login.map(Self.rounded)
        self.silence = Int(silence.nanoseconds / 10_000_000) * 10
    }

    init(_ pool: PoolSnapshot) {
        self.init(answer: pool.usualAnswer, login: pool.usualLogin, silence: pool.silenceLimit)
    }

    private static func rounded(_ duration: Duration) -> Int {
        let milliseconds = Double(duration.nanoseconds) / 1e6
        var unit = 1
        while true {
            for step in [1, 2, 5] where milliseconds <= Double(step * unit) || unit >= 10_000 { return step * unit }
            unit *= 10
        }
    }
}
