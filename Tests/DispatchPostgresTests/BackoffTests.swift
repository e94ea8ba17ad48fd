import DispatchLoop
import Testing

@testable import DispatchPostgres

@Suite struct BackoffTests {
    @Test("waits double from 10 ms to the cap, less at most a fifth", arguments: 0..<10)
    func waits(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var backoff = Backoff()
        for full in [10, 20, 40, 80, 160, 270, 270, 270] {
            let wait = backoff.next(using: &random)
            #expect(
                wait <= .milliseconds(full) && wait >= .milliseconds(full) * 0.79,
                "seed \(seed): \(wait) for \(full) ms")
        }
        backoff.reset()
        #expect(backoff.next(using: &random) <= .milliseconds(10))
    }

    @Test("after a thousand failures the wait is still the cap")
    func noOverflow() {
        var random = SplitMix64(seed: 1)
        var backoff = Backoff()
        for _ in 0..<1_000 { _ = backoff.next(using: &random) }
        #expect(backoff.next(using: &random) <= Backoff.cap)
    }
}
