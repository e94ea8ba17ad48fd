import Dispatch
import DispatchLoop
import Glibc
import Logging
import Testing

@testable import DarumaService

@Suite struct LineLogHandlerTests {
    private func line(_ format: LineLogHandler.Format, _ message: String, _ fields: [(String, LogField)] = []) -> String
    {
        LineLogHandler(label: "daruma", format: format, level: .info, sink: LogSink(descriptor: -1))
            .line(.notice, message, fields, time: "T")
    }

    @Test("a text line is time, level, message and fields")
    func text() {
        #expect(
            line(.text, "the database is back", [("down-for", "5.2 s"), ("tries", "3")])
                == #"T notice the database is back down-for="5.2 s" tries=3"#)
    }

    @Test("a JSON line is one object")
    func json() {
        #expect(
            line(.json, "say \"hi\"", [("k", "v")])
                == #"{"time":"T","level":"notice","logger":"daruma","message":"say \"hi\"","k":"v"}"#)
    }

    @Test("durations and counts are numbers in JSON")
    func numbers() {
        let fields: [(String, LogField)] = [
            ("down-for", LogField(.duration(.milliseconds(5213)))), ("tries", LogField(.stringConvertible(3))),
            ("cause", LogField("57P01: \"bye\"")),
        ]
        #expect(line(.text, "m", fields) == #"T notice m down-for="5.21 s" tries=3 cause="57P01: 'bye'""#)
        #expect(
            line(.json, "m", fields)
                == #"{"time":"T","level":"notice","logger":"daruma","message":"m","down-for-ms":5213,"tries":3,"#
                + #""cause":"57P01: \"bye\""}"#)
    }

    @Test(
        "a time is UTC with milliseconds",
        arguments: [
            (0, 0, "1970-01-01T00:00:00.000Z"), (951_782_399, 7, "2000-02-28T23:59:59.007Z"),
            (1_795_226_426, 120, "2026-11-21T02:00:26.120Z"),
        ])
    func times(seconds: Int, milliseconds: Int, text: String) {
        var timestamp = Timestamp()
        for _ in 1...2 {
            let bytes = timestamp.text(seconds: seconds, milliseconds: milliseconds)
            #expect(String(decoding: bytes, as: UTF8.self) == text)
        }
    }

    @Test(
        "no message or field can begin a line or move a terminal's cursor",
        arguments: ["a\nb", "a\r\nb", "a\u{1B}[2Jb", "a\u{9B}2Jb", "a\0b"])
    func control(hostile: String) {
        for format in LineLogHandler.Format.allCases {
            let line = line(format, hostile, [("k", .text(hostile))])
            #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F })
            if format == .text { #expect(!line.unicodeScalars.contains { (0x80..<0xA0).contains($0.value) }) }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct LogSinkTests {
    @Test("lines arrive in order")
    func order() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let sink = LogSink(descriptor: ends[1])
        for index in 0..<100 { sink.write("line \(index)") }
        sink.flush(timeout: .seconds(10))
        close(ends[1])
        #expect(readAll(ends[0]) == (0..<100).map { "line \($0)\n" }.joined())
    }

    @Test(
        "a full pipe does not block: lines that do not fit are dropped, counted and reported later")
    func unread() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let sink = LogSink(descriptor: ends[1], capacity: 10_000)
        let long = String(repeating: "x", count: 999)
        // A pipe holds 64 KiB, the sink 10,000 bytes; these lines are a megabyte.
        for _ in 0..<1_000 { sink.write(long) }
        let reader = ends[0]
        let text = Locked("")
        let done = DispatchSemaphore(value: 0)
        DispatchQueue.global().async {
            let all = readAll(reader)
            text.withLock { $0 = all }
            done.signal()
        }
        // The reader continues until the sink has reported the dropped lines.
        sink.flush(timeout: .seconds(10))
        sink.write("end")
        sink.flush(timeout: .seconds(10))
        close(ends[1])
        done.wait()
        let read = text.withLock { $0 }
        #expect(read.firstMatch(of: /dropped \d+ log lines/) != nil)
        #expect(read.contains("end\n"))
        #expect(read.utf8.count < 200_000)
    }
}

private func readAll(_ descriptor: Int32) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count <= 0 { break }
        bytes.append(contentsOf: buffer.prefix(count))
    }
    close(descriptor)
    return String(decoding: bytes, as: UTF8.self)
}
