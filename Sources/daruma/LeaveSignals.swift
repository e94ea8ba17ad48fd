import Dispatch
import Glibc

/// The signals that ask the process to leave. Only the first one counts.
struct LeaveSignals {
    private static let numbers = [SIGTERM, SIGINT]

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

    init() {
        let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        var sources: [any DispatchSourceSignal] = []
        for number in Self.numbers {
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield() }
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
}
