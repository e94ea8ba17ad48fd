import Dispatch
import DispatchLoop
import Testing

@testable import DarumaService

@Suite("the hard stop", .timeLimit(.minutes(1)))
struct HardStopTests {
    @Test("fires although the event loop is stuck")
    func stuckLoop() async {
        let isStuck = DispatchSemaphore(value: 0)
        let hasFired = DispatchSemaphore(value: 0)
        let wasFreed = Locked(false)
        EventLoop.shared.submit {
            isStuck.signal()
            // Blocks the loop until the hard stop fires. If it never does, the test fails after the timeout.
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
        #expect(wasFreed.withLock { $0 }, "the hard stop did not fire while the loop was stuck")
        hardStop.cancel()
    }

    @Test("does not fire after cancel()")
    func cancelled() async {
        let fired = Locked(false)
        let hardStop = HardStop(after: .milliseconds(20)) { fired.withLock { $0 = true } }
        hardStop.cancel()
        // Waits for a later one: by then the cancelled one would have fired.
        await withCheckedContinuation { continuation in
            _ = HardStop(after: .milliseconds(60)) { continuation.resume() }
        }
        #expect(!fired.withLock { $0 }, "a cancelled hard stop fired")
    }

    @LoopActor
    private func onLoop(_ body: @LoopActor () -> Void) { body() }
}
