import Dispatch
import DispatchLoop
import Glibc

/// The signals that shut the process down: SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it closes. The
/// first one starts a graceful shutdown, the second one ends the process at once.
///
/// SIGHUP shuts down because that is its default action, and the service has no configuration file to reload. A process
/// that starts with SIGHUP ignored (nohup(1)) keeps ignoring it.
struct TerminationSignals {
    private static var numbers: [Int32] { [SIGTERM, SIGINT] + (isIgnored(SIGHUP) ? [] : [SIGHUP]) }
    /// A signal this soon after the first one does not count: some supervisors signal the process and then its group.
    private static let echo = Duration.milliseconds(100)

    /// Blocks the signals, so that they stay pending until a ``TerminationSignals`` handles them. The main thread calls
    /// this before it starts other threads, which inherit the mask.
    static func block() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in numbers { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    private let sources: [any DispatchSourceSignal]
    private let arrivals: AsyncStream<Void>

    /// Handles the signals from now on.
    ///
    /// - Parameter second: called on a Dispatch thread with the number of each signal after the first.
    init(second: @escaping @Sendable (Int32) -> Void) {
        let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        let first = Locked<MonotonicTime?>(nil)
        var sources: [any DispatchSourceSignal] = []
        for number in Self.numbers {
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                let now = MonotonicTime.now()
                let previous = first.withLock { first in
                    defer { first = first ?? now }
                    return first
                }
                guard let previous else { return _ = continuation.yield() }
                if now - previous > Self.echo { second(number) }
            }
            source.activate()
            sources.append(source)
        }
        self.sources = sources
        self.arrivals = arrivals
    }

    /// Waits for the first signal.
    func wait() async {
        for await _ in arrivals { return }
    }

    /// Stops handling the signals.
    func release() {
        for source in sources { source.cancel() }
    }

    static func name(of number: Int32) -> String {
        switch number {
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        default: "SIGHUP"
        }
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0 else { return false }
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
