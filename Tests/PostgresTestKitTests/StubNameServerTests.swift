import Testing

@testable import PostgresTestKit

@Suite("The stub name server")
struct StubNameServerTests {
    /// A resolver's query for `db.test`, class IN.
    private static func question(type: UInt8) -> [UInt8] {
        [0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + [2, 100, 98, 4, 116, 101, 115, 116, 0, 0, type, 0, 1]
    }

    @Test("returns its address for IPv4, and none for IPv6")
    func addresses() throws {
        let four = try #require(
            StubNameServer.reply(to: Self.question(type: 1)[...], .addresses([[127, 0, 0, 2]])))
        #expect(four[..<2] == [0xab, 0xcd])
        #expect(four[7] == 1)
        #expect(four.suffix(4) == [127, 0, 0, 2])
        let six = try #require(StubNameServer.reply(to: Self.question(type: 28)[...], .addresses([[127, 0, 0, 2]])))
        #expect(six[3] & 0xf == 0)
        #expect(six[7] == 0)
        #expect(six.count == Self.question(type: 28).count)
    }

    @Test("returns several addresses in their order")
    func several() throws {
        let answer = StubNameServer.Resolution.addresses([[127, 0, 0, 1], [127, 0, 0, 2]])
        let reply = try #require(StubNameServer.reply(to: Self.question(type: 1)[...], answer))
        #expect(reply[7] == 2)
        #expect(reply.suffix(4) == [127, 0, 0, 2])
        #expect(reply.dropLast(16).suffix(4) == [127, 0, 0, 1])
    }

    @Test("fails, stays silent, and ignores incomplete queries")
    func failures() {
        let question = Self.question(type: 1)
        #expect(StubNameServer.reply(to: question[...], .failure).map { $0[3] & 0xf } == 2)
        #expect(StubNameServer.reply(to: question[...], .silence) == nil)
        for length in 0..<question.count {
            #expect(StubNameServer.reply(to: question[..<length], .addresses([[127, 0, 0, 1]])) == nil)
        }
    }
}
