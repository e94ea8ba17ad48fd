import Dispatch
import DispatchLoop
import Glibc
import Logging
import Testing

@testable import DarumaService

@Suite struct LineLogHandlerTests {
    private func line(_ format: LineLogHandler.Format, _ message: String, _ fields: [(String, String)] = []) -> String {
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

    @Test(
        "nothing in a message or field can begin a new line or move a terminal's cursor",
        arguments: ["a\nb", "a\r\nb", "a\u{1B}[2Jb", "a\u{9B}2Jb", "a\0b"])
    func control(hostile: String) {
        for format in LineLogHandler.Format.allCases {
            let line = line(format, hostile, [("k", hostile)])
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
        "a pipe that nobody reads holds nobody up: what does not fit is dropped, counted, and said when there is room")
    func unread() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let sink = LogSink(descriptor: ends[1], capacity: 10_000)
        let long = String(repeating: "x", count: 999)
        // A pipe holds 64 KiB, the sink 10,000 bytes; all of these together are a megabyte.
        for _ in 0..<1_000 { sink.write(long) }
        let reader = ends[0]
        let text = Locked("")
        let done = DispatchSemaphore(value: 0)
        DispatchQueue.global().async {
            let all = readAll(reader)
            text.withLock { $0 = all }
            done.signal()
        }
        // Reading goes on until the sink has said what it dropped.
        sink.flush(timeout: .seconds(10))
        sink.write("end")
        sink.flush(timeout: .seconds(10))
        close(ends[1])
        done.wait()
        let read = text.withLock { $0 }
        #expect(read.contains("log lines dropped"))
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
