import DispatchLoop
import HTTP1
import HTTP1Checks
import HTTPTypes
import Testing

@Suite("responses as bytes")
struct ResponseSerializerTests {
    static let dateLine = Array("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".utf8)

    static func text(
        _ response: Response, isHead: Bool = false, connection: ResponseSerializer.Connection = .persists
    ) -> String {
        var buffer: [UInt8] = []
        ResponseSerializer.append(response, isHead: isHead, connection: connection, dateLine: dateLine, to: &buffer)
        return String(decoding: buffer, as: UTF8.self)
    }

    static let ok = Response(status: .ok, text: "hello", contentType: "text/plain", fields: [.cacheControl: "no-store"])
    static let head =
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
        + "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

    @Test("status line, fields, length, date and body", arguments: [ok, ok.prepared()])
    func whole(_ response: Response) {
        #expect(Self.text(response) == Self.head + "\r\nhello")
        #expect(Self.text(response, isHead: true) == Self.head + "\r\n")
        #expect(Self.text(response, connection: .closes) == Self.head + "Connection: close\r\n\r\nhello")
        #expect(
            Self.text(response, connection: .persistsForHTTP10) == Self.head + "Connection: keep-alive\r\n\r\nhello")
    }

    @Test("a change after the preparation takes effect")
    func changedAfterwards() {
        var response = Self.ok.prepared()
        response.body = Array("hello!".utf8)
        #expect(Self.text(response).contains("Content-Length: 6\r\n"))
        response = response.prepared()
        response.status = .serviceUnavailable
        #expect(Self.text(response).hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        response = response.prepared()
        response.fields[.retryAfter] = "1"
        #expect(Self.text(response).contains("Retry-After: 1\r\n"))
    }

    @Test("statuses without content have no body and no length", arguments: [100, 101, 103, 204, 304])
    func withoutContent(_ code: Int) {
        let text = Self.text(Response(status: .init(code: code), body: Array("x".utf8)))
        #expect(text.hasPrefix("HTTP/1.1 \(code) \r\n"))
        #expect(!text.contains("Content-Length"))
        #expect(text.hasSuffix("\r\n\r\n"))
    }

    @Test("205 has the length 0")
    func resetContent() {
        let text = Self.text(Response(status: .resetContent, body: Array("x".utf8)))
        #expect(text.contains("Content-Length: 0\r\n"))
        #expect(text.hasSuffix("\r\n\r\n"))
    }

    @Test("an empty body has the length 0")
    func emptyBody() {
        #expect(Self.text(Response(status: .ok)).contains("Content-Length: 0\r\n"))
    }

    @Test("a response cannot set the server's own fields")
    func serversFields() {
        let fields: HTTPFields = [
            .contentLength: "7", .connection: "upgrade", .transferEncoding: "chunked", .date: "today",
        ]
        let text = Self.text(Response(status: .ok, fields: fields))
        #expect(text == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n")
    }

    @Test("a value cannot start a new line", arguments: ["a\r\nX: y", "a\nX: y", "a\rX: y", "a\0b"])
    func injection(_ value: String) {
        let text = Self.text(Response(status: .ok, fields: [.location: value]))
        #expect(!text.contains("\r\nX: y"))
        #expect(!text.contains("\nX"))
        #expect(!text.contains("\0"))
        #expect(text.split(separator: "\r\n").count == 4)
    }

    @Test("a control character in a value becomes a space", arguments: ["a\u{1B}[2J", "a\u{7F}", "a\u{0}b", "a\u{1}b"])
    func control(_ value: String) {
        let field = HTTPField(name: .location, lenientValue: Array(value.utf8))
        for response in [Response(status: .ok, fields: [:]), Response(status: .ok, fields: [:]).prepared()] {
            var response = response
            response.fields.append(field)
            let text = Self.text(response)
            #expect(text.contains("Location: a "))
            #expect(!text.unicodeScalars.contains { $0.value == 0x7F || ($0.value < 0x20 && $0 != "\r" && $0 != "\n") })
        }
    }

    @Test("a repeated field is sent repeatedly")
    func repeatedField() {
        var fields = HTTPFields()
        fields.append(HTTPField(name: .setCookie, value: "a=1"))
        fields.append(HTTPField(name: .setCookie, value: "b=2"))
        let text = Self.text(Response(status: .ok, fields: fields))
        #expect(text.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))
    }

    @Test("a serialized response parses back with all fields and the body's length")
    func parsesBack() throws {
        var generator = SplitMix64(seed: PropertyTests.seed)
        for _ in 0..<500 {
            var fields = HTTPFields()
            for number in 0..<Int.random(in: 0...5, using: &generator) {
                let bytes = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                    UInt8.random(in: 0...0x7F, using: &generator)
                }
                let name = try #require(HTTPField.Name("X-\(number)"))
                fields.append(HTTPField(name: name, value: bytes))
            }
            let body = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            let response = Response(
                status: .init(code: Int.random(in: 200...203, using: &generator)), fields: fields, body: body)
            var wire: [UInt8] = []
            ResponseSerializer.append(
                response, isHead: false, connection: .persists, dateLine: Self.dateLine, to: &wire)

            // With another first line a response is a request, so the strict parser can read the rest.
            let lineEnd = try #require(wire.firstIndex(of: 10))
            let request = Array("POST / HTTP/1.1\r\nHost: a\r\n".utf8) + wire[(lineEnd + 1)...]
            let outcome = Outcome([request, Array(Cut.trailing.utf8)])
            #expect(outcome.error == nil, "seed \(PropertyTests.seed)")
            #expect(outcome.requests.count == 2, "seed \(PropertyTests.seed)")
            let expected = fields.map { "\($0.name.rawName): \($0.value)" }
            #expect(outcome.requests.first?.fields.dropFirst().dropLast(2).elementsEqual(expected) == true)
        }
    }
}
