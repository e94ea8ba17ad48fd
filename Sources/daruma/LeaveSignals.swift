import Dispatch

/// The signals that ask the process to leave. From its making on they no longer end the process; only the first one
/// counts.
struct LeaveSignals {
    private let sources: [any DispatchSourceSignal]
    private let arrivals: AsyncStream<Void>

    init(_ numbers: Int32...) async {
        let (arrivals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        var sources: [any DispatchSourceSignal] = []
        for number in numbers {
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield() }
            // Until it is registered, a signal would still end the process.
            await withCheckedContinuation { registered in
                source.setRegistrationHandler { registered.resume() }
                source.activate()
            }
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
