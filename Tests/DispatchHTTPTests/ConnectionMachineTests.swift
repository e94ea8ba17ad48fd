import DispatchLoop
import HTTP1
import HTTP1Checks
import Testing

@testable import DispatchHTTP

@Suite("actions of a connection")
struct ConnectionMachineTests {
    /// Input, the expected responses, and the close reason once the client ends its side.
    struct WireCase: CustomStringConvertible, Sendable {
        var description: String
        var wire: String
        var answers: [String]
        var reason: ConnectionCloseReason
        /// The number of responses after which the server announces its shutdown.
        var announcesAfter: Int?

        init(
            _ description: String, _ wire: String, _ answers: [String], _ reason: ConnectionCloseReason = .clientClosed,
            announcesAfter: Int? = nil
        ) {
            self.description = description
            self.wire = wire
            self.answers = answers
            self.reason = reason
            self.announcesAfter = announcesAfter
        }

        /// Whether the connection accepts a further request.
        var staysOpen: Bool { reason == .clientClosed && announcesAfter == nil }
    }

    static func get(_ path: String, _ more: String = "") -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\(more)\r\n" }

    static let cases = [
        WireCase("nothing", "", []),
        WireCase("one request", get("/a"), ["/a persists"]),
        WireCase(
            "three, one behind the other", get("/a") + get("/b") + get("/c"),
            ["/a", "/b", "/c"].map { "\($0) persists" }),
        WireCase("an empty line before", "\r\n" + get("/a"), ["/a persists"]),
        WireCase("the client asks for the close", get("/a", "Connection: close\r\n"), ["/a closes"], .requested),
        WireCase(
            "a request after the one that asks for the close", get("/a", "Connection: close\r\n") + get("/b"),
            ["/a closes"], .requested),
        WireCase("HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", ["/a closes"], .requested),
        WireCase(
            "HTTP/1.0 with keep-alive", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ["/a persistsForHTTP10"]),
        WireCase("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", ["a:1 closes"], .requested),
        WireCase("the response requires the close", get("/last") + get("/b"), ["/last closes"], .answered),
        WireCase(
            "a body", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/b"),
            ["/a persists", "/b persists"]),
        WireCase(
            "chunks",
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/b"),
            ["/a persists", "/b persists"]),
        WireCase("an invalid request", get("/a") + "@@@ / HTTP/1.1\r\n\r\n", ["/a persists", "400 closes"], .refused),
        WireCase(
            "a body that is too large", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
            ["413 closes"], .refused),
        WireCase("drain, one request", get("/a"), ["/a closes"], .drained, announcesAfter: 0),
        WireCase(
            "drain, pipelined requests", get("/a") + get("/b") + get("/c"), ["/a closes"], .drained,
            announcesAfter: 0),
        WireCase(
            "drain in the middle of a pipeline", (0..<9).map { get("/\($0)") }.joined(),
            (0..<4).map { "/\($0) persists" } + ["/4 closes"], .drained, announcesAfter: 4),
        WireCase(
            "drain, and the client asks for the close", get("/a", "Connection: close\r\n"), ["/a closes"], .requested,
            announcesAfter: 0),
        WireCase(
            "drain, HTTP/1.0 with keep-alive", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ["/a closes"],
            .drained, announcesAfter: 0),
        WireCase("drain, an invalid request", "@@@", ["400 closes"], .refused, announcesAfter: 0),
    ]

    @Test(
        "responses do not depend on how the bytes are cut, and the last one announces the close", arguments: cases,
        Cut.allCases)
    func wire(_ example: WireCase, _ cut: Cut) {
        var driver = MachineDriver(maxLingerBytes: 1 << 20)
        driver.announcesAfter = example.announcesAfter
        for piece in cut.pieces(example.wire) { driver.arrive(piece) }
        driver.end()
        let goesOn = cut.hasTrailingBytes && example.staysOpen
        let expected = example.answers + (goesOn ? ["/trailing persists"] : [])
        #expect(driver.answers == expected, "\(example), \(cut)")
        #expect(driver.reason == example.reason, "\(example), \(cut)")
        #expect(!driver.done.contains("no end"), "\(example), \(cut)")
    }

    @Test("an incomplete request is dropped", arguments: Cut.allCases.filter { !$0.hasTrailingBytes })
    func endsEarly(_ cut: Cut) {
        for wire in [String(Self.get("/a").dropLast(3)), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"] {
            var driver = MachineDriver()
            for piece in cut.pieces(wire) { driver.arrive(piece) }
            driver.end()
            #expect(driver.answers == [])
            #expect(driver.reason == .clientClosedEarly)
        }
    }

    @Test("a client that waits for 100 gets it, one that already sends the body does not")
    func continues() {
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        var waiting = MachineDriver()
        waiting.arrive(head)
        #expect(waiting.done == ["continue"])
        waiting.arrive("abc")
        #expect(waiting.answers == ["/a persists"])
        var sending = MachineDriver()
        sending.arrive(head + "abc")
        #expect(sending.done == [])
        #expect(sending.answers == ["/a persists"])
    }

    @Test("a response announces the close if the client ended its side while the handler worked")
    func endWhileHeld() {
        var driver = MachineDriver()
        driver.held = ["/held"]
        driver.arrive(Self.get("/held"))
        driver.end()
        #expect(driver.answers == [])
        driver.complete()
        #expect(driver.answers == ["/held closes"])
        #expect(driver.reason == .clientClosed)
    }

    @Test("pipelined requests wait for the handler and are answered in order")
    func oneAtATime() {
        var driver = MachineDriver()
        driver.held = ["/held"]
        driver.arrive(Self.get("/a") + Self.get("/held") + Self.get("/b"))
        driver.arrive(Self.get("/c"))
        #expect(driver.answers == ["/a persists"])
        driver.complete()
        #expect(driver.answers == ["/a persists", "/held persists", "/b persists", "/c persists"])
    }

    @Test(
        "a handler at work when the drain begins gives the last response; later requests are dropped")
    func leavingWhileHeld() {
        var driver = MachineDriver()
        driver.held = ["/held"]
        driver.arrive(Self.get("/held") + Self.get("/b"))
        driver.machine.leave(grace: 1, at: driver.now)
        driver.complete()
        #expect(driver.answers == ["/held closes"])
        #expect(driver.done == ["half-close"])
        driver.arrive(Self.get("/c"))
        #expect(driver.reason == nil)
        driver.end()
        #expect(driver.reason == .drained)
    }

    @Test("no request begins while responses wait, also after the client's end and during a drain")
    func blocked() {
        var driver = MachineDriver()
        driver.takes = false
        driver.arrive(Self.get("/a"))
        driver.arrive(Self.get("/b") + Self.get("/c"))
        driver.end()
        driver.machine.leave(grace: 1, at: driver.now)
        #expect(driver.answers == ["/a persists"])
        #expect(driver.reason == nil)
        driver.drainOutput()
        #expect(driver.answers == ["/a persists", "/b closes"])
        #expect(driver.reason == .drained)
    }

    @Test("after the last response the connection half-closes and drops input within bounds")
    func lingers() {
        var driver = MachineDriver(maxLingerBytes: 1000)
        driver.machine.announceLeaving()
        driver.arrive(Self.get("/a") + Self.get("/b"))
        #expect(driver.done == ["half-close"])
        driver.arrive([UInt8](repeating: 1, count: 1000))
        #expect(driver.reason == nil)
        driver.arrive([1])
        #expect(driver.reason == .drained)
    }

    @Test("a connection whose client asked for the close does not linger")
    func noLinger() {
        var driver = MachineDriver()
        driver.arrive(Self.get("/a", "Connection: close\r\n"))
        #expect(driver.done == [])
        #expect(driver.reason == .requested)
    }

    @Test("a client that pipelines without a pause yields after its share, and learns of a drain")
    func yields() {
        var driver = MachineDriver()
        driver.turn = 2
        driver.arrive((0..<5).map { Self.get("/\($0)") }.joined())
        #expect(driver.answers.count == 2)
        #expect(driver.done == ["yield"])
        driver.run()
        #expect(driver.answers.count == 2, "an event is no turn")
        driver.takeTurn()
        #expect(driver.answers.count == 4)
        driver.machine.announceLeaving()
        driver.takeTurn()
        #expect(driver.answers.last == "/4 closes")
    }

    @Test("a stream ends with the client's end, but not if that came before the stream")
    func streams() {
        var driver = MachineDriver()
        driver.held = ["/s"]
        driver.arrive(Self.get("/s"))
        driver.machine.streams()
        driver.end()
        #expect(driver.reason == .clientClosed)
        var earlier = MachineDriver()
        earlier.held = ["/s"]
        earlier.arrive(Self.get("/s"))
        earlier.end()
        earlier.machine.streams()
        let hasLeft = earlier.machine.endAnnounced()
        #expect(!hasLeft)
    }

    @Test("the version decides the framing of a stream; without chunks the connection closes")
    func streamFraming() {
        for (version, more, closes, isChunked) in [
            ("1.1", "", "persists", true), ("1.0", "Connection: keep-alive\r\n", "closes", false),
            ("1.0", "", "closes", false), ("1.1", "Connection: close\r\n", "closes", true),
        ] {
            var driver = MachineDriver()
            driver.held = ["/s"]
            driver.arrive("GET /s HTTP/\(version)\r\nHost: a\r\n\(more)\r\n")
            guard let request = driver.holding else {
                Issue.record("no request for HTTP/\(version) with '\(more)'")
                continue
            }
            let framing = driver.machine.frame(streamTo: request, closes: false)
            #expect("\(framing.connection)" == closes, "HTTP/\(version) \(more)")
            #expect(framing.isChunked == isChunked, "HTTP/\(version) \(more)")
        }
    }
}
