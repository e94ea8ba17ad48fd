import DispatchLoop
import HTTP1
import HTTPTypes
import Testing

@testable import DarumaService

@LoopActor
@Suite struct RequestIdentifierTests {
    private func request(_ ids: String...) throws -> RequestHead {
        var fields = HTTPFields()
        for id in ids { fields.append(HTTPField(name: HTTPField.Name("X-Request-ID") ?? .accept, value: id)) }
        return try RequestHead(.get, "/", fields: fields)
    }

    @Test(
        "a safe id is kept",
        arguments: [
            "a", "123e4567-e89b-12d3-a456-426614174000", "4bf92f3577b34da6a3ce929d0e0e4736", "host/abc-000001",
            "Root=1-67891233-abcdef012345678912345678", "req_1.2:3@x+y", String(repeating: "x", count: 128),
        ])
    func kept(id: String) throws {
        #expect(RequestIdentifier().identify(try request(id)) == id)
    }

    @Test(
        "any other id is replaced",
        arguments: [
            "", String(repeating: "x", count: 129), "a b", "a\"b", "a'b", "a\\b", "<b>", "a;b", "$(id)", "ä", "a,b",
            "a%0a",
        ])
    func replaced(id: String) throws {
        let made = RequestIdentifier().identify(try request(id))
        #expect(made != id)
        #expect(RequestIdentifier.isSane(made))
    }

    @Test("new ids have 15 characters, are unique, and sort by arrival")
    func made() throws {
        let identifier = RequestIdentifier()
        let request = try request()
        let ids = (0..<10_000).map { _ in identifier.identify(request) }
        #expect(ids.allSatisfy { $0.utf8.count == 15 && RequestIdentifier.isSane($0) })
        #expect(ids == ids.sorted())
        #expect(Set(ids).count == ids.count)
    }

    @Test("processes have different ids, and the count wraps around")
    func processes() {
        #expect(RequestIdentifier().next().prefix(7) != RequestIdentifier().next().prefix(7))
        let last = RequestIdentifier(process: 1, count: (1 << 40) - 1)
        #expect(last.next() == "0000001vvvvvvvv")
        #expect(last.next() == "000000100000000")
    }
}
