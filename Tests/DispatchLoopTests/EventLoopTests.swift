import CLinux
import Glibc
import Testing

@testable import DispatchLoop

/// A pair of connected stream sockets, closed at the end of the test.
private struct SocketPair: ~Copyable {
    let ours: Int32
    let theirs: Int32

    init() {
        var descriptors: [Int32] = [0, 0]
        _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &descriptors)
        (ours, theirs) = (descriptors[0], descriptors[1])
    }

    deinit {
        close(ours)
        close(theirs)
    }

    func send(_ count: Int = 1) { _ = write(theirs, [UInt8](repeating: 7, count: count), count) }

    @discardableResult
    func receive(_ count: Int = 64) -> Int {
        var buffer = [UInt8](repeating: 0, count: count)
        return read(ours, &buffer, count)
    }
}

@LoopActor
private final class RegistrationBox {
    var held: Registration?

    func end() {
        if let held { EventLoop.shared.deregister(held) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct EventLoopTests {
    @Test("deferred writes run after the jobs of the round and before its timers, requests first")
    func endOfRound() async {
        let order = await withCheckedContinuation { continuation in
            EventLoop.shared.submit {
                let loop = EventLoop.shared
                let seen = Locked<[String]>([])
                _ = loop.schedule(at: loop.now) {
                    seen.withLock { $0.append("timer") }
                    loop.deferWrite(.request) {
                        seen.withLock { $0.append("after the timers") }
                        continuation.resume(returning: seen.withLock { $0 })
                    }
                }
                loop.deferWrite(.response) {
                    seen.withLock { $0.append("response") }
                    loop.deferWrite(.request) { seen.withLock { $0.append("late request") } }
                }
                loop.deferWrite(.request) { seen.withLock { $0.append("request") } }
                loop.deferWrite(.request) { seen.withLock { $0.append("second request") } }
                loop.submit {
                    seen.withLock { $0.append("job") }
                    loop.submit { seen.withLock { $0.append("its job") } }
                }
            }
        }
        #expect(
            order == [
                "job", "its job", "request", "second request", "response", "late request", "timer", "after the timers",
            ])
    }

    @Test("work submitted from another thread runs on the loop, in order")
    func submit() async {
        let order = await withCheckedContinuation { continuation in
            let seen = Locked<[Int]>([])
            for index in 0..<1_000 {
                EventLoop.shared.submit {
                    LoopActor.shared.preconditionIsolated()
                    let all = seen.withLock {
                        $0.append(index)
                        return $0
                    }
                    if all.count == 1_000 { continuation.resume(returning: all) }
                }
            }
        }
        #expect(order == Array(0..<1_000))
    }

    @LoopActor
    @Test("timers fire in the order of their deadlines, and never before them")
    func timers() async {
        let loop = EventLoop.shared
        let start = MonotonicTime.now()
        let fired: [(Int, MonotonicTime)] = await withCheckedContinuation { continuation in
            var fired: [(Int, MonotonicTime)] = []
            for milliseconds in [15, 5, 10] {
                _ = loop.schedule(at: start + .milliseconds(milliseconds)) {
                    fired.append((milliseconds, .now()))
                    if fired.count == 3 { continuation.resume(returning: fired) }
                }
            }
        }
        #expect(fired.map(\.0) == [5, 10, 15])
        for (milliseconds, time) in fired { #expect(time - start >= .milliseconds(milliseconds)) }
    }

    @LoopActor
    @Test("a cancelled timer does not fire")
    func cancelledTimer() async {
        let loop = EventLoop.shared
        let start = MonotonicTime.now()
        let fired: [String] = await withCheckedContinuation { continuation in
            var fired: [String] = []
            let first = loop.schedule(at: start + .milliseconds(2)) { fired.append("cancelled") }
            _ = loop.schedule(at: start + .milliseconds(4)) {
                fired.append("kept")
                continuation.resume(returning: fired)
            }
            loop.cancel(first)
        }
        #expect(fired == ["kept"])
    }

    @LoopActor
    @Test("an earlier deadline that is scheduled later fires on time")
    func earlierDeadline() async {
        let loop = EventLoop.shared
        let far = loop.schedule(at: .now() + .seconds(3_600)) {}
        await withCheckedContinuation { continuation in
            _ = loop.schedule(at: .now() + .milliseconds(3)) { continuation.resume() }
        }
        loop.cancel(far)
    }

    @LoopActor
    @Test("a descriptor that is readable at registration is reported at once", arguments: [Trigger.edge, .level])
    func readable(trigger: Trigger) async throws {
        let pair = SocketPair()
        pair.send()
        let readiness = try await firstReadiness(of: pair.ours, for: .read, trigger: trigger)
        #expect(readiness.contains(.readable))
    }

    @LoopActor
    @Test("a level-triggered descriptor with unread bytes is reported again, an edge-triggered one is not")
    func levelAndEdge() async throws {
        let loop = EventLoop.shared
        let level = SocketPair()
        let edge = SocketPair()
        level.send(2)
        edge.send(2)
        var edges = 0
        let edgeRegistration = try loop.register(edge.ours, for: .read, trigger: .edge) { _ in edges += 1 }
        let levelDescriptor = level.ours
        let levels: Int = try await withCheckedThrowingContinuation { continuation in
            var count = 0
            do throws(SystemCallError) {
                let box = RegistrationBox()
                box.held = try loop.register(levelDescriptor, for: .read, trigger: .level) { _ in
                    count += 1
                    guard count == 3 else { return }
                    box.end()
                    continuation.resume(returning: count)
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
        loop.deregister(edgeRegistration)
        #expect(levels == 3)
        #expect(edges == 1)
    }

    @LoopActor
    @Test("an event fetched in the same batch is not delivered after its registration has ended")
    func deregisterWithinBatch() async throws {
        let loop = EventLoop.shared
        let first = SocketPair()
        let second = SocketPair()
        let boxes = [RegistrationBox(), RegistrationBox()]
        var delivered = 0
        for (box, descriptor) in zip(boxes, [first.ours, second.ours]) {
            box.held = try loop.register(descriptor, for: .read, trigger: .level) { _ in
                delivered += 1
                for box in boxes { box.end() }
            }
        }
        first.send()
        second.send()
        // Both are ready before the loop next polls the sockets, which it does before the timer fires.
        await withCheckedContinuation { continuation in
            _ = loop.schedule(at: .now() + .milliseconds(1)) { continuation.resume() }
        }
        #expect(delivered == 1)
    }

    @LoopActor
    @Test("the peer's end is reported as a hang-up")
    func hangup() async throws {
        let pair = SocketPair()
        shutdown(pair.theirs, Int32(SHUT_RDWR))
        let readiness = try await firstReadiness(of: pair.ours, for: .read, trigger: .edge)
        #expect(readiness.contains(.hangup))
    }

    @LoopActor
    @Test("the registration of an invalid descriptor throws the call and its error number")
    func refused() {
        let error = #expect(throws: SystemCallError.self) {
            try EventLoop.shared.register(-1, for: .read, trigger: .edge) { _ in }
        }
        #expect(error == SystemCallError(call: "epoll_ctl", errno: EBADF))
    }

    @LoopActor
    @Test("a job that always enqueues another one does not starve timers")
    func noStarvation() async {
        let loop = EventLoop.shared
        var fired = false
        _ = loop.schedule(at: .now() + .milliseconds(2)) { fired = true }
        var yields = 0
        while !fired {
            yields += 1
            await Task.yield()
        }
        #expect(yields > 0)
    }

    @LoopActor
    private func firstReadiness(
        of descriptor: Int32, for interest: Interest, trigger: Trigger
    ) async throws -> Readiness {
        let loop = EventLoop.shared
        return try await withCheckedThrowingContinuation { continuation in
            let box = RegistrationBox()
            do throws(SystemCallError) {
                box.held = try loop.register(descriptor, for: interest, trigger: trigger) { readiness in
                    box.end()
                    continuation.resume(returning: readiness)
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

@Suite struct MonotonicTimeTests {
    @Test("adding a duration saturates instead of overflowing")
    func saturates() {
        #expect(MonotonicTime(nanoseconds: 5) + .seconds(Int64.max) == .distantFuture)
        #expect(MonotonicTime.distantFuture + .seconds(1) == .distantFuture)
    }

    @Test(
        "durations convert to nanoseconds and back", arguments: [0, 1, -1, 999_999_999, 1_000_000_001, -5_000_000_000])
    func converts(nanoseconds: Int64) {
        #expect(Duration.nanoseconds(nanoseconds).nanoseconds == nanoseconds)
    }

    @Test("the clock does not go backwards")
    func monotonic() {
        var last = MonotonicTime.now()
        for _ in 0..<10_000 {
            let next = MonotonicTime.now()
            #expect(next >= last)
            last = next
        }
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(1))) struct PauseTests {
    @Test("the loop notices a timer that fires late as a pause")
    func pause() async throws {
        let loop = EventLoop.shared
        let before = MonotonicTime.now()
        await withCheckedContinuation { continuation in
            _ = loop.schedule(at: .now() + .milliseconds(20)) { continuation.resume() }
            // Like a stopped process (SIGSTOP) or a blocked loop.
            loop.submit { usleep(300_000) }
        }
        #expect(loop.latestPause > before)
    }
}
