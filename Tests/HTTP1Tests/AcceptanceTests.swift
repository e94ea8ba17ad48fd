import HTTP1
import HTTP1Checks
import Testing

@Suite("accepted requests")
struct AcceptanceTests {
    @Test("the parser accepts a valid request, however it is cut", arguments: AcceptedWire.all, Cut.allCases)
    func understands(_ acceptance: AcceptedWire, _ cut: Cut) {
        let outcome = Outcome(cut.pieces(acceptance.wire))
        #expect(outcome.error == nil)
        #expect(outcome.breaches == [])
        #expect(outcome.requests.count == (cut.hasTrailingBytes ? 2 : 1))
        guard let request = outcome.requests.first else { return }
        #expect(request.method == acceptance.method)
        #expect(request.path == acceptance.path)
        #expect(request.query == acceptance.query)
        #expect(request.keepAlive == acceptance.keepAlive)
        if let fields = acceptance.fields { #expect(request.fields == fields) }
        if cut.hasTrailingBytes { #expect(outcome.requests.last?.path == "/trailing") }
    }

    @Test("a request is complete with its last byte, not before", arguments: AcceptedWire.all)
    func waitsForTheLastByte(_ acceptance: AcceptedWire) {
        let outcome = Outcome([Array(acceptance.wire.utf8.dropLast())])
        #expect(outcome.requests == [])
        #expect(outcome.error == nil)
    }
}
