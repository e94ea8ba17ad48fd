import DispatchHTTP
import Foundation
import Testing

@Suite(.timeLimit(.minutes(1))) struct ReadmeTests {
    private func file(_ path: String) throws -> String {
        let here = URL(fileURLWithPath: #filePath)
        return try String(contentsOf: here.deletingLastPathComponent().appendingPathComponent(path), encoding: .utf8)
    }

    @Test("the guide's example is the one compiled here")
    func example() throws {
        let example = try file("ReadmeExample.swift").trimmingCharacters(in: .newlines)
        let guide = "../../Sources/Libraries/HTTP/DispatchHTTP/DispatchHTTP.docc/DispatchHTTP.md"
        #expect(try file(guide).contains("```swift\n\(example)\n```"))
    }

    @Test("the guide's example works")
    func works() async throws {
        let greeter = await Greeter(ServerConfiguration(host: "127.0.0.1", port: 0))
        let port = try #require(try await greeter.start().first).port
        let bodies = try await offLoop {
            let client = try TestClient(port: port)
            return try ["/", "/greet?formal", "/patient"].map { path in
                try client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.reply().body
            }
        }
        #expect(bodies == ["hello\n", "good day\n", "thank you for waiting\n"])
        let pieces = try await offLoop {
            let client = try TestClient(port: port)
            try client.send("GET /numbers HTTP/1.1\r\nHost: a\r\n\r\n")
            return try client.read(through: "0\r\n\r\n")
        }
        #expect(pieces.hasSuffix("2\r\n1\n\r\n2\r\n2\n\r\n2\r\n3\n\r\n0\r\n\r\n"))
        #expect(await greeter.leave().forced == 0)
    }
}
