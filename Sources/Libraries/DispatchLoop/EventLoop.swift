internal import CLinux
internal import Dispatch
internal import Glibc
internal import Synchronization

/// One serial Dispatch queue that turns: socket readiness, timers, and the jobs of ``LoopActor``.
///
/// All sockets are in one `epoll` set, and Dispatch watches that set with a single read source. A source for each
/// socket is the obvious way and costs two `epoll_ctl`, an `ioctl` and a wake across threads per event; and since
/// libdispatch keys its sources by descriptor *number*, a number that libpq closes and the kernel hands out again while
/// the old source lives never fires.
///
/// A round handles, in this order: sockets, jobs, timers that are due, jobs. Sockets go before timers, so that an answer
/// that has arrived in time is not taken for late because the process was stopped or busy for a while. Before the timers
/// and at the end come those who wait for the end of the round to send.
///
/// A turn does not hand the queue back after the last round but lingers in the kernel for what comes next: a wake-up
/// through Dispatch costs a hop from its manager's thread to a worker's and two more system calls, which under load
/// was two thirds of the cost of a request to the database. Other threads interrupt the lingering by an event descriptor.
public final class EventLoop: SerialExecutor {
    /// The loop of this process.
    public static let shared = EventLoop()

    /// What the queue is called in stack traces.
    private static let label = "daruma.loop"
    /// The most events taken from the kernel in one call.
    private static let batch = 256
    /// How often jobs that enqueue further jobs are followed before sockets and timers are looked at again.
    private static let maxJobPasses = 8
    /// How long a turn lingers with nothing to do before it hands the queue back, in milliseconds.
    private static let linger: Int32 = 50

    private let queue: DispatchQueue
    private let epoll: Int32
    private let timer: Int32
    /// Ends the lingering of a turn from another thread.
    private let wakeupDescriptor: Int32
    /// What wakes the loop. Released, it would go; after `init` nobody touches it.
    private let source: Locked<any DispatchSourceRead>

    /// The thread that is in a turn, as a number; 0 between turns. Jobs enqueued from it need no lock and no wake-up.
    private let turningThread = Atomic<UInt>(0)
    private let inbox = Locked(Inbox())

    // `nonisolated(unsafe)`, because the runtime calls `add` without isolation, and `add` appends here. It does so only after
    // `isOnLoop` has said that this thread is in a turn; all other code that touches `jobs` is isolated to LoopActor.
    private nonisolated(unsafe) var jobs: [Work] = []
    @LoopActor private var runningJobs: [Work] = []
    /// What is to be done at the end of the round.
    @LoopActor private var requestWrites: [@LoopActor () -> Void] = []
    @LoopActor private var responseWrites: [@LoopActor () -> Void] = []
    @LoopActor private var registrations = RegistrationTable<@LoopActor (Readiness) -> Void>()
    @LoopActor private var timers = TimerHeap<@LoopActor () -> Void>()
    @LoopActor private var armed: MonotonicTime?
    @LoopActor private var turnStart = MonotonicTime.now()
    @LoopActor private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: EventLoop.batch)

    private enum Work {
        case job(UnownedJob)
        case taskExecutorJob(UnownedJob)
        case closure(@Sendable @LoopActor () -> Void)
    }

    /// Work from other threads, and how to tell the loop of it.
    private struct Inbox {
        var work: [Work] = []
        var loop = WakeState.asleep

        enum WakeState {
            /// No turn is running or on its way; one has to be submitted to the queue.
            case asleep
            /// A turn is running, or on its way, and will look into the inbox before it ends.
            case running
            /// A turn waits in the kernel; it has to be interrupted.
            case polling
        }
    }

    private init() {
        queue = DispatchQueue(label: Self.label, qos: .userInitiated)
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        timer = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK) | Int32(TFD_CLOEXEC))
        wakeupDescriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
        // Without these there is no loop, and without a loop no service: nothing better than to say so and end.
        precondition(
            epoll >= 0 && timer >= 0 && wakeupDescriptor >= 0,
            "daruma: no event loop: \(SystemCallError(call: "epoll_create1"))")
        // Edge-triggered, these two need not be read: each expiry and each write is a new edge.
        var event = clinux_epoll_event(UInt32(EPOLLIN.rawValue) | Trigger.edgeBit, 0)
        epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event)
        epoll_ctl(epoll, EPOLL_CTL_ADD, wakeupDescriptor, &event)
        source = Locked(DispatchSource.makeReadSource(fileDescriptor: epoll, queue: queue))
        source.withLock {
            $0.setEventHandler { [unowned self] in self.run() }
            $0.resume()
        }
    }

    // MARK: Time

    /// The time at which the running turn began its latest round. Cheaper than asking the clock, and equal for all who
    /// ask within a round.
    @LoopActor public var now: MonotonicTime { turnStart }

    /// When the loop last noticed that it had not run for a while although something was due: the process was stopped
    /// (SIGSTOP, a suspended machine), starved, or something blocked the loop. What was measured across it says nothing of
    /// others.
    @LoopActor package private(set) var latestPause = MonotonicTime(nanoseconds: 0)
    /// How late, in nanoseconds, makes a pause: more than a busy machine makes of it.
    private static let lateness: Int64 = 100_000_000

    /// Performs `action` on the loop when `deadline` has passed, unless it is cancelled before.
    @LoopActor
    public func schedule(at deadline: MonotonicTime, _ action: @escaping @LoopActor () -> Void) -> TimerID {
        timers.insert(action, at: deadline)
    }

    /// Takes a timer back. Does nothing when it has fired or has been cancelled.
    @LoopActor
    public func cancel(_ id: TimerID) {
        timers.remove(id)
    }

    // MARK: Descriptors

    /// Calls `handler` on the loop whenever `descriptor` is ready.
    ///
    /// An event is reported at once for what is ready already. The handler is held until ``deregister(_:)``, which must
    /// come before the descriptor is closed by the caller.
    /// - Throws: ``SystemCallError`` when the kernel refuses (too many watches, not a pollable descriptor).
    @LoopActor
    public func register(
        _ descriptor: Int32, for interest: Interest, trigger: Trigger,
        _ handler: @escaping @LoopActor (Readiness) -> Void
    ) throws(SystemCallError) -> Registration {
        let registration = registrations.insert(handler, descriptor: descriptor, trigger: trigger)
        var event = clinux_epoll_event(interest.epollEvents(trigger), registration.token)
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            let error = SystemCallError(call: "epoll_ctl")
            _ = registrations.remove(registration)
            throw error
        }
        return registration
    }

    /// Changes what a registration wants to hear. Does nothing when it has ended.
    @LoopActor
    public func modify(_ registration: Registration, for interest: Interest) {
        guard let trigger = registrations.trigger(of: registration) else { return }
        var event = clinux_epoll_event(interest.epollEvents(trigger), registration.token)
        epoll_ctl(epoll, EPOLL_CTL_MOD, registration.descriptor, &event)
    }

    /// Ends a registration; none of its events is delivered after this, not even one fetched already.
    @LoopActor
    public func deregister(_ registration: Registration) {
        guard registrations.remove(registration) else { return }
        // A library may have closed the descriptor (EBADF), and another thread may hold the number by now (ENOENT):
        // either way it is out of the set, which is what is wanted.
        epoll_ctl(epoll, EPOLL_CTL_DEL, registration.descriptor, nil)
    }

    /// Gives back memory that a peak of timers, descriptors or work has left behind. Takes a moment: not for every turn.
    @LoopActor
    public func shrink() {
        registrations.shrink()
        timers.shrink()
        if jobs.isEmpty { jobs = [] }
        if requestWrites.isEmpty { requestWrites = [] }
        if responseWrites.isEmpty { responseWrites = [] }
    }

    // MARK: Work

    /// Performs `work` on the loop, soon. From any thread.
    public func submit(_ work: @escaping @Sendable @LoopActor () -> Void) {
        add(.closure(work))
    }

    /// Performs `action` when what this round has brought is handled: what is to be sent goes out together then.
    ///
    /// Sending wakes whoever receives, and on a machine that has not a core for each, it runs at once, in place of this
    /// process. One after the other, for ten queries, that is ten times; collected, the loop's own work is done in one go,
    /// and the others then have theirs.
    @LoopActor
    package func deferWrite(_ message: WritePhase, _ action: @escaping @LoopActor () -> Void) {
        switch message {
        case .request: requestWrites.append(action)
        case .response: responseWrites.append(action)
        }
    }

    /// Starts a task that stays on the loop, between its actors as well. It begins soon: from an event or a
    /// job, within this round.
    ///
    /// A continuation resumes on the generic executor and hops to its actor's from there. With the loop as the task's
    /// preferred executor that is an array append; without, a trip through a thread of the global pool.
    public nonisolated func task(_ operation: @escaping @Sendable @LoopActor () async -> Void) -> Task<Void, Never> {
        // From where there is no isolation, so that the task begins in `between`: begun in LoopActor, or at once, it would
        // be without its preference at first, and each `await` would enqueue it anew until it had to wait for something.
        Task(executorPreference: between) { await operation() }
    }

    /// Where tasks that prefer the loop are between their actors.
    ///
    /// An executor of its own: if jobs of ``LoopActor`` ran under both, the runtime would take every `await` of a task
    /// without that preference for a change of executors, and suspend it where nobody expects it.
    private final class LoopTaskExecutor: TaskExecutor {
        func enqueue(_ job: consuming ExecutorJob) {
            EventLoop.shared.add(.taskExecutorJob(UnownedJob(job)))
        }
    }

    private let between = LoopTaskExecutor()

    /// The requirement of `SerialExecutor`.
    public func enqueue(_ job: consuming ExecutorJob) {
        add(.job(UnownedJob(job)))
    }

    /// The requirement of `SerialExecutor`; without it, `assumeIsolated` traps in Dispatch's callbacks.
    public func checkIsolated() {
        precondition(isOnLoop, "daruma: this must run on the event loop (@LoopActor)")
    }

    /// The requirement of `SerialExecutor`.
    public func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    private var isOnLoop: Bool { turningThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    private func add(_ work: Work) {
        if isOnLoop {
            jobs.append(work)
            return
        }
        let presence = inbox.withLock { inbox in
            inbox.work.append(work)
            defer { inbox.loop = .running }
            return inbox.loop
        }
        switch presence {
        case .asleep: queue.async { self.run() }
        case .running: break
        case .polling: eventfd_write(wakeupDescriptor, 1)
        }
    }

    // MARK: The turn

    private func run() {
        turningThread.store(UInt(pthread_self()), ordering: .relaxed)
        // The isolation of LoopActor is this queue; from here on the code may say so.
        LoopActor.assumeIsolated { self.iterate() }
        turningThread.store(0, ordering: .relaxed)
    }

    @LoopActor
    private func iterate() {
        var patience: Int32 = 0
        while true {
            var count = Int(epoll_wait(epoll, events, Int32(Self.batch), patience))
            // After SIGSTOP and SIGCONT `epoll_wait` fails with EINTR and has looked at no socket. It looks again, because
            // timers must not fire before the sockets have been read.
            if count < 0 { count = Int(epoll_wait(epoll, events, Int32(Self.batch), 0)) }
            turnStart = .now()
            if let armed, armed.advanced(byNanoseconds: Self.lateness) < turnStart { latestPause = turnStart }
            if count > 0 { deliver(count) }
            let wasIdle = !takeInbox() && jobs.isEmpty && count <= 0 && patience > 0
            runJobs()
            endRound()
            fireTimers()
            runJobs()
            endRound()
            armTimer()
            if wasIdle, jobs.isEmpty, stopPolling() { return }
            patience = jobs.isEmpty && startPolling() ? Self.linger : 0
        }
    }

    /// `false` when there is work to do instead.
    private func startPolling() -> Bool {
        inbox.withLock { inbox in
            inbox.loop = inbox.work.isEmpty ? .polling : .running
            return inbox.work.isEmpty
        }
    }

    /// `false` when work has come meanwhile.
    private func stopPolling() -> Bool {
        inbox.withLock { inbox in
            inbox.loop = inbox.work.isEmpty ? .asleep : .running
            return inbox.work.isEmpty
        }
    }

    @LoopActor
    private func deliver(_ count: Int) {
        for index in 0..<count {
            let token = clinux_epoll_datum(events + index)
            // Serials begin at 1: datum 0 is the timer or the interruption, which only have to wake the loop.
            guard token != 0, let handler = registrations.handler(for: token) else { continue }
            handler(Readiness(epollEvents: events[index].events))
            if !jobs.isEmpty { runJobs() }
        }
    }

    /// `true` when there was something in it.
    @LoopActor
    private func takeInbox() -> Bool {
        inbox.withLock { inbox in
            inbox.loop = .running
            guard !inbox.work.isEmpty else { return false }
            jobs.append(contentsOf: inbox.work)
            inbox.work.removeAll(keepingCapacity: true)
            return true
        }
    }

    /// Runs what is enqueued now. What these jobs enqueue in turn runs too, but only so often: a job that always
    /// enqueues another must not keep sockets and timers waiting.
    @LoopActor
    private func runJobs() {
        for _ in 0..<Self.maxJobPasses where !jobs.isEmpty {
            swap(&jobs, &runningJobs)
            for work in runningJobs {
                switch work {
                case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
                case .taskExecutorJob(let job):
                    // As one of LoopActor at the same time, which this thread serves: the hop to it, which nearly always
                    // is what such a job begins with, is none then, and neither are the hops between its functions.
                    job.runSynchronously(
                        isolatedTo: asUnownedSerialExecutor(), taskExecutor: between.asUnownedTaskExecutor())
                case .closure(let closure): closure()
                }
            }
            runningJobs.removeAll(keepingCapacity: true)
        }
    }

    @LoopActor
    private func endRound() {
        while !requestWrites.isEmpty || !responseWrites.isEmpty {
            // Others may be added meanwhile.
            var next = 0
            while next < requestWrites.count {
                requestWrites[next]()
                next += 1
            }
            requestWrites.removeAll(keepingCapacity: true)
            next = 0
            while next < responseWrites.count {
                responseWrites[next]()
                next += 1
            }
            responseWrites.removeAll(keepingCapacity: true)
        }
    }

    @LoopActor
    private func fireTimers() {
        // One set meanwhile for a time that has passed already waits for the next round, or a timer that sets itself
        // anew would keep the sockets waiting for ever.
        let mark = timers.insertionCutoff
        while let action = timers.popDue(at: turnStart, before: mark) { action() }
    }

    /// Sets the kernel's timer if the earliest deadline came to lie before what it is set to. It is not moved later:
    /// a wake-up in vain now and then is cheaper than a call for each deadline that was met.
    @LoopActor
    private func armTimer() {
        if let armed, armed <= turnStart { self.armed = nil }
        guard let earliest = timers.earliest, earliest != .distantFuture else { return }
        if let armed, armed <= earliest { return }
        var setting = itimerspec()
        let nanoseconds = max(earliest.nanoseconds, 1)
        setting.it_value = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &setting, nil)
        armed = earliest
    }
}

/// What waits for the end of a round to be sent. Questions go first: who is asked can work while the answers go out.
package enum WritePhase {
    /// Somebody else has work with it.
    case request
    /// Somebody else has waited for it.
    case response
}
