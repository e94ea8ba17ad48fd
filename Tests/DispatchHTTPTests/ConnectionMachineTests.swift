import DispatchLoop
import HTTP1
import HTTP1Checks
import Testing

@testable import DispatchHTTP

@Suite("what a connection does next")
struct ConnectionMachineTests {
    /// A wire, what is answered to it, and why the connection closes once the client ends its side.
    struct WireCase: CustomStringConvertible, Sendable {
        var description: String
        var wire: String
        var answers: [String]
        var reason: ConnectionCloseReason
        /// The server begins to leave when so many answers have been given.
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

        /// Whether a further request is answered.
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
        WireCase("the client wants an end", get("/a", "Connection: close\r\n"), ["/a closes"], .requested),
        WireCase(
            "what comes after the end that the client wants", get("/a", "Connection: close\r\n") + get("/b"),
            ["/a closes"], .requested),
        WireCase("HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", ["/a closes"], .requested),
        WireCase(
            "HTTP/1.0 that wants more", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ["/a persistsForHTTP10"]),
        WireCase("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", ["a:1 closes"], .requested),
        WireCase("the answer wants an end", get("/last") + get("/b"), ["/last closes"], .answered),
        WireCase(
            "a body", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/b"),
            ["/a persists", "/b persists"]),
        WireCase(
            "chunks",
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/b"),
            ["/a persists", "/b persists"]),
        WireCase("what is no request", get("/a") + "@@@ / HTTP/1.1\r\n\r\n", ["/a persists", "400 closes"], .refused),
        WireCase(
            "a body that is too large", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
            ["413 closes"], .refused),
        WireCase("leaving, with one request", get("/a"), ["/a closes"], .drained, announcesAfter: 0),
        WireCase(
            "leaving, with more behind it", get("/a") + get("/b") + get("/c"), ["/a closes"], .drained,
            announcesAfter: 0),
        WireCase(
            "leaving, in the middle of a pipeline", (0..<9).map { get("/\($0)") }.joined(),
            (0..<4).map { "/\($0) persists" } + ["/4 closes"], .drained, announcesAfter: 4),
        WireCase(
            "leaving, and the client wants an end too", get("/a", "Connection: close\r\n"), ["/a closes"], .requested,
            announcesAfter: 0),
        WireCase(
            "leaving, HTTP/1.0 that wants more", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", ["/a closes"],
            .drained, announcesAfter: 0),
        WireCase("leaving, what is no request", "@@@", ["400 closes"], .refused, announcesAfter: 0),
    ]

    @Test("the same is answered however the bytes are cut, and the last answer says so", arguments: cases, Cut.allCases)
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

    @Test("a request that ends in the middle is dropped", arguments: Cut.allCases.filter { !$0.hasTrailingBytes })
    func endsEarly(_ cut: Cut) {
        for wire in [String(Self.get("/a").dropLast(3)), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"] {
            var driver = MachineDriver()
            for piece in cut.pieces(wire) { driver.arrive(piece) }
            driver.end()
            #expect(driver.answers == [])
            #expect(driver.reason == .clientClosedEarly)
        }
    }

    @Test("a client that waits for 100 gets it, one whose body is on its way does not")
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

    @Test("an end that came while a handler worked is said in its answer")
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

    @Test("while a handler works nothing is read or answered; then all is, in order")
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
        "a handler that was at work when the server began to leave gives the last answer; what is behind it is dropped")
    func leavingWhileHeld() {
        var driver = MachineDriver()
        driver.held = ["/held"]
        driver.arrive(Self.get("/held") + Self.get("/b"))
        driver.machine.leave(grace: 1)
        driver.complete()
        #expect(driver.answers == ["/held closes"])
        #expect(driver.done == ["half-close"])
        driver.arrive(Self.get("/c"))
        #expect(driver.reason == nil)
        driver.end()
        #expect(driver.reason == .drained)
    }

    @Test("no request is begun while answers wait, half-closed clients and leaving ones included")
    func blocked() {
        var driver = MachineDriver()
        driver.takes = false
        driver.arrive(Self.get("/a"))
        driver.arrive(Self.get("/b") + Self.get("/c"))
        driver.end()
        driver.machine.leave(grace: 1)
        #expect(driver.answers == ["/a persists"])
        #expect(driver.reason == nil)
        driver.drainOutput()
        #expect(driver.answers == ["/a persists", "/b closes"])
        #expect(driver.reason == .drained)
    }

    @Test("after the last answer the connection is half-closed, and what comes is dropped within bounds")
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

    @Test("a client that asked for the end is not waited for")
    func noLinger() {
        var driver = MachineDriver()
        driver.arrive(Self.get("/a", "Connection: close\r\n"))
        #expect(driver.done == [])
        #expect(driver.reason == .requested)
    }

    @Test("who sends without a pause yields after its share, and is told when the server leaves")
    func yields() {
        var driver = MachineDriver()
        driver.turn = 2
        driver.arrive((0..<5).map { Self.get("/\($0)") }.joined())
        #expect(driver.answers.count == 2)
        #expect(driver.done == ["yield"])
        driver.run()
        #expect(driver.answers.count == 2, "an event is not a turn")
        driver.takeTurn()
        #expect(driver.answers.count == 4)
        driver.machine.announceLeaving()
        driver.takeTurn()
        #expect(driver.answers.last == "/4 closes")
    }

    @Test("a stream ends when its client ends; one that had ended before reads on")
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

    @Test("the framing of a stream follows from the version, and an end that is the body's is the connection's")
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
