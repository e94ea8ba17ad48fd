internal import CLinux
internal import Dispatch
internal import Glibc
internal import Synchronization

/// An epoll loop on a Dispatch thread. Dispatch wakes the loop when work arrives, and `epoll_wait` drives it until none
/// is left.
///
/// All sockets are in one `epoll` set, which Dispatch watches with a single read source. One source per socket would
/// cost two `epoll_ctl`, an `ioctl` and a cross-thread wake-up per event. It would also lose events: libdispatch keys
/// its sources by descriptor *number*, so when libpq closes a socket and the kernel reuses the number while the old
/// source lives, the new source never fires.
///
/// A round handles sockets, jobs, due timers, and jobs again. Sockets precede timers, so that an answer that arrived in
/// time does not count as late after the process was stopped or busy. The loop performs deferred writes before the
/// timers and at the end of the round.
///
/// After the last round the loop keeps polling for 50 ms instead of returning to Dispatch: a wake-up through Dispatch
/// costs a thread hop and two system calls, two thirds of a database request under load. Other threads interrupt the
/// poll through an event descriptor.
public final class EventLoop: SerialExecutor {
    /// The loop of this process.
    public static let shared = EventLoop()

    /// The queue's name in stack traces.
    private static let label = "DispatchLoop"
    /// The most events fetched in one call.
    private static let batch = 256
    /// How many generations of jobs that enqueue jobs run before the loop returns to sockets and timers.
    private static let maxJobPasses = 8
    /// How long an idle loop polls before it returns its thread to Dispatch, in milliseconds.
    private static let pollTimeout: Int32 = 50

    private let queue: DispatchQueue
    private let epoll: Int32
    private let timer: Int32
    /// Interrupts the poll from another thread.
    private let wakeupDescriptor: Int32
    /// Keeps the Dispatch source alive. Not touched after `init`.
    private let source: Locked<any DispatchSourceRead>

    /// The thread that runs the loop; 0 while none does. Jobs enqueued from it need no lock and no wake-up.
    private let loopThread = Atomic<UInt>(0)
    private let inbox = Locked(Inbox())

    // `nonisolated(unsafe)`, because the runtime calls `add` without isolation, and `add` appends here. It does so only
    // if this thread runs the loop (`isOnLoop`); all other code that touches `jobs` is isolated to LoopActor.
    private nonisolated(unsafe) var jobs: [Work] = []
    @LoopActor private var runningJobs: [Work] = []
    @LoopActor private var requestWrites: [@LoopActor () -> Void] = []
    @LoopActor private var responseWrites: [@LoopActor () -> Void] = []
    @LoopActor private var watches = SlotMap<Watch>()
    @LoopActor private var timers = TimerHeap<@LoopActor () -> Void>()
    @LoopActor private var armed: MonotonicTime?
    @LoopActor private var roundStart = MonotonicTime.now()
    @LoopActor private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: EventLoop.batch)

    private struct Watch {
        let trigger: Trigger
        let handler: @LoopActor (Readiness) -> Void
    }

    private enum Work {
        case job(UnownedJob)
        case taskExecutorJob(UnownedJob)
        case closure(@Sendable @LoopActor () -> Void)
    }

    /// Work from other threads, and how they wake the loop.
    private struct Inbox {
        var work: [Work] = []
        var state = WakeState.asleep

        enum WakeState {
            /// The loop has no thread. Work must submit `run` to the queue.
            case asleep
            /// The loop runs, or is about to, and empties the inbox before it polls.
            case running
            /// The loop waits in the kernel. Work must interrupt it.
            case polling
        }
    }

    private init() {
        queue = DispatchQueue(label: Self.label, qos: .userInitiated)
        epoll = Self.checked(epoll_create1(Int32(EPOLL_CLOEXEC)), "epoll_create1")
        timer = Self.checked(
            timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK) | Int32(TFD_CLOEXEC)), "timerfd_create")
        wakeupDescriptor = Self.checked(eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC)), "eventfd")
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

    /// A process without a loop can do nothing, so a failure ends it.
    private static func checked(_ descriptor: Int32, _ call: String) -> Int32 {
        precondition(descriptor >= 0, "DispatchLoop: no event loop: \(SystemCallError(call: call))")
        return descriptor
    }

    // MARK: Time

    /// The time at which the current round began. Cheaper than the clock, and constant within a round.
    @LoopActor public var now: MonotonicTime { roundStart }

    /// When the loop last noticed that a timer fired late: the process was stopped (SIGSTOP, a suspended machine),
    /// starved, or something blocked the loop. A measurement across the pause says nothing about other processes.
    @LoopActor package private(set) var latestPause = MonotonicTime(nanoseconds: 0)
    /// A timer later than this many nanoseconds reveals a pause. A busy machine causes shorter delays.
    private static let lateness: Int64 = 100_000_000

    /// Runs `action` on the loop once `deadline` has passed, unless the timer is cancelled first.
    @LoopActor
    public func schedule(at deadline: MonotonicTime, _ action: @escaping @LoopActor () -> Void) -> TimerID {
        timers.insert(action, at: deadline)
    }

    /// Cancels a timer. Does nothing if it has fired or has been cancelled.
    @LoopActor
    public func cancel(_ id: TimerID) {
        timers.remove(id)
    }

    // MARK: Descriptors

    /// Calls `handler` on the loop whenever `descriptor` is ready.
    ///
    /// A descriptor that is already ready causes a call at once. The loop keeps the handler until ``deregister(_:)``,
    /// which must precede the caller's close of the descriptor.
    /// - Throws: ``SystemCallError`` if the kernel refuses (too many watches, not a pollable descriptor).
    @LoopActor
    package func register(
        _ descriptor: Int32, for interest: Interest, trigger: Trigger,
        _ handler: @escaping @LoopActor (Readiness) -> Void
    ) throws(SystemCallError) -> Registration {
        let id = watches.insert(Watch(trigger: trigger, handler: handler))
        let registration = Registration(id: id, descriptor: descriptor)
        var event = clinux_epoll_event(interest.epollEvents(trigger), registration.token)
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            let error = SystemCallError(call: "epoll_ctl")
            watches.remove(id)
            throw error
        }
        return registration
    }

    /// Changes the interest of a registration. Does nothing if it has ended.
    @LoopActor
    package func modify(_ registration: Registration, for interest: Interest) {
        guard let watch = watches[registration.id] else { return }
        var event = clinux_epoll_event(interest.epollEvents(watch.trigger), registration.token)
        epoll_ctl(epoll, EPOLL_CTL_MOD, registration.descriptor, &event)
    }

    /// Ends a registration. The loop delivers none of its events afterwards, not even fetched ones.
    @LoopActor
    package func deregister(_ registration: Registration) {
        guard watches.remove(registration.id) != nil else { return }
        // A library may have closed the descriptor (EBADF), and another thread may own the number now (ENOENT). Either
        // way the set does not contain it, as intended.
        epoll_ctl(epoll, EPOLL_CTL_DEL, registration.descriptor, nil)
    }

    /// Frees memory left over from a peak of timers, descriptors or work. Too slow for every round.
    @LoopActor
    package func shrink() {
        watches.shrink()
        timers.shrink()
        if jobs.isEmpty { jobs = [] }
        if requestWrites.isEmpty { requestWrites = [] }
        if responseWrites.isEmpty { responseWrites = [] }
    }

    // MARK: Work

    /// Runs `work` on the loop soon. May be called from any thread.
    public func submit(_ work: @escaping @Sendable @LoopActor () -> Void) {
        add(.closure(work))
    }

    /// Runs `action` at the end of the round, so that the round's writes leave in one burst. On few cores each write
    /// wakes its receiver, which preempts this process; ten single writes would interrupt the loop ten times.
    @LoopActor
    package func deferWrite(_ phase: WritePhase, _ action: @escaping @LoopActor () -> Void) {
        switch phase {
        case .request: requestWrites.append(action)
        case .response: responseWrites.append(action)
        }
    }

    /// Starts a task that stays on the loop, even between its actors. Started from an event or a job, it begins within
    /// this round.
    public nonisolated func task(_ operation: @escaping @Sendable @LoopActor () async -> Void) -> Task<Void, Never> {
        // Nonisolated, so that the task begins on its preferred executor. A task that begins in LoopActor lacks the
        // preference until its first suspension, and each `await` before that enqueues it again.
        Task(executorPreference: taskExecutor) { await operation() }
    }

    /// Runs tasks between their actors.
    ///
    ///     @LoopActor code ──await──▶ suspended ──resume──▶ task executor ──hop──▶ @LoopActor code
    ///
    ///                 with this preference    without
    ///     resume      an append to `jobs`     a trip through a thread of the global pool
    ///     hop         free, the same thread   back through the inbox
    ///
    /// A separate executor, because jobs of ``LoopActor`` have no preference, and a runtime that saw one executor in
    /// both roles would take each `await` of such a job for a change of executors and suspend it.
    private final class LoopTaskExecutor: TaskExecutor {
        func enqueue(_ job: consuming ExecutorJob) {
            EventLoop.shared.add(.taskExecutorJob(UnownedJob(job)))
        }
    }

    private let taskExecutor = LoopTaskExecutor()

    /// The requirement of `SerialExecutor`.
    public func enqueue(_ job: consuming ExecutorJob) {
        add(.job(UnownedJob(job)))
    }

    /// The requirement of `SerialExecutor`; without it, `assumeIsolated` traps in Dispatch's callbacks.
    public func checkIsolated() {
        precondition(isOnLoop, "DispatchLoop: this must run on the event loop (@LoopActor)")
    }

    /// The requirement of `SerialExecutor`.
    public func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    private var isOnLoop: Bool { loopThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    private func add(_ work: Work) {
        if isOnLoop {
            jobs.append(work)
            return
        }
        let previous = inbox.withLock { inbox in
            inbox.work.append(work)
            defer { inbox.state = .running }
            return inbox.state
        }
        switch previous {
        case .asleep: queue.async { self.run() }
        case .running: break
        case .polling: eventfd_write(wakeupDescriptor, 1)
        }
    }

    // MARK: Rounds

    private func run() {
        loopThread.store(UInt(pthread_self()), ordering: .relaxed)
        // This queue is LoopActor's isolation.
        LoopActor.assumeIsolated { self.iterate() }
        loopThread.store(0, ordering: .relaxed)
    }

    @LoopActor
    private func iterate() {
        var timeout: Int32 = 0
        while true {
            var count = Int(epoll_wait(epoll, events, Int32(Self.batch), timeout))
            // After SIGSTOP and SIGCONT `epoll_wait` fails with EINTR without checking the sockets. The loop reads
            // sockets before timers fire, so it calls again.
            if count < 0 { count = Int(epoll_wait(epoll, events, Int32(Self.batch), 0)) }
            roundStart = .now()
            if let armed, armed.advanced(byNanoseconds: Self.lateness) < roundStart { latestPause = roundStart }
            if count > 0 { deliver(count) }
            let wasIdle = !takeInbox() && jobs.isEmpty && count <= 0 && timeout > 0
            runJobs()
            endRound()
            fireTimers()
            runJobs()
            endRound()
            armTimer()
            if wasIdle, jobs.isEmpty, rests(.asleep) { return }
            timeout = jobs.isEmpty && rests(.polling) ? Self.pollTimeout : 0
        }
    }

    /// Enters a state without work. Returns `false` if there is work.
    private func rests(_ state: Inbox.WakeState) -> Bool {
        inbox.withLock { inbox in
            inbox.state = inbox.work.isEmpty ? state : .running
            return inbox.work.isEmpty
        }
    }

    @LoopActor
    private func deliver(_ count: Int) {
        for index in 0..<count {
            let token = clinux_epoll_datum(events + index)
            // No id is 0: token 0 is the timer or the wake-up descriptor, whose event needs no handler.
            guard token != 0, let watch = watches[Int(token)] else { continue }
            watch.handler(Readiness(epollEvents: events[index].events))
            if !jobs.isEmpty { runJobs() }
        }
    }

    /// Returns whether there was work.
    @LoopActor
    private func takeInbox() -> Bool {
        inbox.withLock { inbox in
            inbox.state = .running
            guard !inbox.work.isEmpty else { return false }
            jobs.append(contentsOf: inbox.work)
            inbox.work.removeAll(keepingCapacity: true)
            return true
        }
    }

    /// Runs the enqueued jobs and, up to a limit, the jobs that these enqueue: a job that always enqueues another must
    /// not starve sockets and timers.
    @LoopActor
    private func runJobs() {
        for _ in 0..<Self.maxJobPasses where !jobs.isEmpty {
            swap(&jobs, &runningJobs)
            for work in runningJobs {
                switch work {
                case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
                case .taskExecutorJob(let job):
                    // Isolated to LoopActor as well, because this thread serves both. Nearly all such jobs begin with a
                    // hop to LoopActor, which then costs nothing.
                    job.runSynchronously(
                        isolatedTo: asUnownedSerialExecutor(), taskExecutor: taskExecutor.asUnownedTaskExecutor())
                case .closure(let closure): closure()
                }
            }
            runningJobs.removeAll(keepingCapacity: true)
        }
    }

    @LoopActor
    private func endRound() {
        while !requestWrites.isEmpty || !responseWrites.isEmpty {
            // An action may add another one.
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
        // Timers added here wait for the next round even if already due. Otherwise a timer that always sets itself
        // again would starve the sockets.
        let cutoff = timers.insertionCutoff
        while let action = timers.popDue(at: roundStart, before: cutoff) { action() }
    }

    /// Sets the kernel's timer if the earliest deadline precedes the set time. The timer never moves later: a rare
    /// needless wake-up is cheaper than a system call for each deadline that was met.
    @LoopActor
    private func armTimer() {
        if let armed, armed <= roundStart { self.armed = nil }
        guard let earliest = timers.earliest, earliest != .distantFuture else { return }
        if let armed, armed <= earliest { return }
        var setting = itimerspec()
        let nanoseconds = max(earliest.nanoseconds, 1)
        setting.it_value = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        timerfd_settime(timer, Int32(TFD_TIMER_ABSTIME), &setting, nil)
        armed = earliest
    }
}

/// The order of deferred writes. Database requests go first: the server works on them while the loop writes responses.
package enum WritePhase {
    case request
    case response
}
