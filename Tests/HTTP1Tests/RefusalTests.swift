import HTTP1
import HTTP1Checks
import HTTPTypes
import Testing

@Suite("rejected requests")
struct RefusalTests {
    @Test("the parser rejects an invalid request, however it is cut", arguments: RefusedWire.all, Cut.allCases)
    func refuses(_ refusal: RefusedWire, _ cut: Cut) {
        let outcome = Outcome(cut.pieces(refusal.wire))
        #expect(outcome.error == refusal.error)
        #expect(outcome.error?.status.code == refusal.status)
        #expect(outcome.requests == [])
        #expect(outcome.breaches == [])
    }

    @Test("a request before a rejected one is delivered", arguments: RefusedWire.all)
    func deliversWhatCameBefore(_ refusal: RefusedWire) {
        let outcome = Outcome([Array((Cut.trailing + refusal.wire).utf8)])
        #expect(outcome.error == refusal.error)
        #expect(outcome.requests.map(\.path) == ["/trailing"])
    }

    @Test("every error has a wire case, and a reason that is a sentence", arguments: HTTP1Error.allCases)
    func isCovered(_ error: HTTP1Error) {
        #expect(RefusedWire.all.contains { $0.error == error })
        #expect(error.reason.hasSuffix("."))
        #expect(error.status.code >= 400)
    }
}
