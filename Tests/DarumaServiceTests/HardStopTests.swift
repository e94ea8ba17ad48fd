import Dispatch
import DispatchLoop
import Testing

@testable import DarumaService

@Suite("the end of the time for leaving", .timeLimit(.minutes(1)))
struct HardStopTests {
    @Test("it comes although the event loop is stuck")
    func stuckLoop() async {
        let isStuck = DispatchSemaphore(value: 0)
        let hasFired = DispatchSemaphore(value: 0)
        let wasFreed = Locked(false)
        EventLoop.shared.submit {
            isStuck.signal()
            // Until the hard stop has come; without it the test fails and the loop is free again.
            let isInTime = hasFired.wait(timeout: .now() + .seconds(10)) == .success
            wasFreed.withLock { $0 = isInTime }
        }
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "test").async {
                isStuck.wait()
                continuation.resume()
            }
        }
        let hardStop = HardStop(after: .milliseconds(10)) { hasFired.signal() }
        await onLoop {}
        #expect(wasFreed.withLock { $0 }, "the loop was stuck until the hard stop came")
        hardStop.cancel()
    }

    @Test("it does not come once all has ended")
    func cancelled() async {
        let fired = Locked(false)
        let hardStop = HardStop(after: .milliseconds(20)) { fired.withLock { $0 = true } }
        hardStop.cancel()
        // One that was set later has come, so that the first one would have.
        await withCheckedContinuation { continuation in
            _ = HardStop(after: .milliseconds(60)) { continuation.resume() }
        }
        #expect(!fired.withLock { $0 }, "a hard stop that was cancelled came")
    }

    @LoopActor
    private func onLoop(_ body: @LoopActor () -> Void) { body() }
}
