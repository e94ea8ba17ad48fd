import DispatchLoop
import Testing

@testable import DarumaService

@Suite("a limited line") struct LineLimitTests {
    @Test("passes once per interval and counts the suppressed lines")
    func interval() {
        var limit = LineLimit(interval: .seconds(60))
        let begin = MonotonicTime.now()
        #expect(limit.pass(at: begin) == 0)
        #expect(limit.pass(at: begin + .seconds(1)) == nil)
        #expect(limit.pass(at: begin + .milliseconds(59_999)) == nil)
        #expect(limit.pass(at: begin + .seconds(60)) == 2)
        #expect(limit.pass(at: begin + .seconds(61)) == nil)
        #expect(limit.pass(at: begin + .seconds(600)) == 1)
        #expect(limit.pass(at: begin + .seconds(1_000)) == 0)
    }
}
