import DispatchLoop
import Testing

@testable import DarumaService

@Suite struct AccessLineTests {
    private static let plain = AccessLine(
        method: "GET", path: "/ping", client: "127.0.0.1", status: 200, bytes: 321, duration: .microseconds(1_042),
        id: "abc-1")

    private func line(_ line: AccessLine, _ format: LineLogHandler.Format) -> String {
        var buffer: [UInt8] = []
        line.write(format, time: "T".utf8, to: &buffer)
        return String(decoding: buffer, as: UTF8.self)
    }

    @Test("a text line")
    func text() {
        #expect(
            line(Self.plain, .text)
                == "T info request client=127.0.0.1 method=GET path=/ping status=200 bytes=321 duration-ms=1.042 "
                + "request-id=abc-1")
    }

    @Test("a JSON line has numbers as numbers")
    func json() {
        #expect(
            line(Self.plain, .json)
                == #"{"time":"T","level":"info","logger":"access","message":"request","client":"127.0.0.1","#
                + #""method":"GET","path":"/ping","status":200,"bytes":321,"duration-ms":1.042,"request-id":"abc-1"}"#)
    }

    @Test("a request that could not be parsed has neither duration nor id")
    func unread() {
        let refused = AccessLine(
            method: "-", path: "-", client: "::1", status: 400, bytes: 9, duration: nil, id: "")
        #expect(line(refused, .text) == "T info request client=::1 method=- path=- status=400 bytes=9")
        #expect(line(refused, .json).hasSuffix(#""path":"-","status":400,"bytes":9}"#))
    }

    @Test(
        "no method or path can begin a line or a field",
        arguments: [#"/a"b"#, #"/a\"#, "/a status=200", #"/a","status":200"#, "/\u{7F}", "/a\u{1B}[2J", "/a=b"])
    func hostile(path: String) throws {
        var hostile = Self.plain
        hostile.path = path
        hostile.method = "X'Y"
        for format in LineLogHandler.Format.allCases {
            let line = line(hostile, format)
            #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F })
        }
        // The text form quotes a value with a blank, a quotation mark or an equals sign. The value cannot end the
        // quotation.
        let text = line(hostile, .text)
        let rest = try #require(text.firstRange(of: "path=")).upperBound
        let value = text[rest...]
        if value.first == "\"" {
            let end = try #require(value.dropFirst().firstIndex(of: "\""))
            #expect(text[end...].hasPrefix("\" status=200 bytes=321"))
        } else {
            #expect(value.drop { $0 != " " }.hasPrefix(" status=200 bytes=321"))
        }
        // The JSON form escapes every quotation mark of the path.
        let json = line(hostile, .json)
        let start = try #require(json.firstRange(of: #""path":""#)).upperBound
        var end = start
        while json[end] != "\"" { end = json.index(end, offsetBy: json[end] == "\\" ? 2 : 1) }
        #expect(json[end...].hasPrefix(#"","status":200,"bytes":321"#))
    }

    @Test(
        "durations are milliseconds with three decimals",
        arguments: [
            (Duration.zero, "0.000"), (.microseconds(7), "0.007"), (.milliseconds(1000), "1000.000"),
            (.seconds(-1), "0.000"),
        ])
    func durations(duration: Duration, text: String) {
        var other = Self.plain
        other.duration = duration
        #expect(line(other, .text).contains("duration-ms=\(text) "))
    }
}
