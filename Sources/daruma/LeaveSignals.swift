import Dispatch
import DispatchLoop
import Glibc

/// The signals that ask the process to leave: SIGTERM, SIGINT, and SIGHUP, which a terminal sends when it closes. The first
/// one asks it to leave in order; a second one, to leave at once.
///
/// SIGHUP ends a process by default, so whoever sends it expects the end, and there is nothing here to read again. Where it
/// is ignored from the start (nohup(1)), it stays so.
struct LeaveSignals {
    private static var numbers: [Int32] { [SIGTERM, SIGINT] + (isIgnored(SIGHUP) ? [] : [SIGHUP]) }
    /// What comes this soon after the first is no second wish: some supervisors signal the process and then its group.
    private static let echo = Duration.milliseconds(100)

    /// From here on they no longer end the process, but wait until they are listened to. For the main thread, before
    /// there are others.
    static func block() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in numbers { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    private let sources: [any DispatchSourceSignal]
    private let arrivals: AsyncStream<Void>

    /// Catches them from now on.
    ///
    /// - Parameter second: called with a signal's number where it is not the first, on a thread of Dispatch's.
    init(second: @escaping @Sendable (Int32) -> Void) {
        let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        let first = Locked<MonotonicTime?>(nil)
        var sources: [any DispatchSourceSignal] = []
        for number in Self.numbers {
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                let now = MonotonicTime.now()
                let asked = first.withLock { first in
                    defer { first = first ?? now }
                    return first
                }
                guard let asked else { return _ = continuation.yield() }
                if now - asked > Self.echo { second(number) }
            }
            source.activate()
            sources.append(source)
        }
        self.sources = sources
        self.arrivals = arrivals
    }

    /// Waits for the first one.
    func arrive() async {
        for await _ in arrivals { return }
    }

    /// Keeps on catching them until here.
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
