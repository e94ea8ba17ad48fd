import DispatchLoop
import HTTP1
import Testing

@testable import DispatchHTTP

@Suite("deadlines of a connection")
struct ConnectionDeadlineTests {
    static let get = ConnectionMachineTests.get("/a")

    /// A client that sent `before`, and then `rest` while the process was stopped beyond every deadline.
    struct Pause: CustomStringConvertible, Sendable {
        var description: String
        var before: String
        var rest: String
        var expiry: ConnectionMachine.Expiry

        static let all = [
            Pause(description: "a new one", before: "", rest: get, expiry: .close(.idleTimeout)),
            Pause(
                description: "an idle one", before: ConnectionMachineTests.get("/first"), rest: get,
                expiry: .close(.idleTimeout)),
            Pause(
                description: "at its header", before: "GET /a HTTP/1.1\r\nHo", rest: "st: a\r\n\r\n",
                expiry: .answerTimeout(.headTimeout)),
            Pause(
                description: "at its body", before: "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
                rest: "de", expiry: .answerTimeout(.bodyTimeout)),
            Pause(
                description: "at its chunks",
                before: "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1",
                rest: "\r\nx\r\n0\r\n\r\n", expiry: .answerTimeout(.bodyTimeout)),
        ]
    }

    @Test("a request that arrived during a pause is answered although its deadline has passed", arguments: Pause.all)
    func pause(_ pause: Pause) {
        var driver = MachineDriver(at: 100)
        driver.arrive(pause.before)
        driver.arriveUnseen(pause.rest)
        driver.now = ConnectionStateTests.at(1000)
        let expiry = driver.fire()
        #expect(expiry == [.look, .none], "\(pause)")
        #expect(driver.answers.last == "/a persists", "\(pause)")
        #expect(driver.reason == nil)
    }

    @Test("without the rest of the request the deadline takes effect", arguments: Pause.all)
    func expires(_ pause: Pause) {
        var driver = MachineDriver(at: 100)
        driver.arrive(pause.before)
        driver.now = ConnectionStateTests.at(1000)
        let expiry = driver.fire()
        #expect(expiry == [.look, pause.expiry], "\(pause)")
        if case .answerTimeout(let reason) = pause.expiry {
            #expect(driver.answers == ["408 closes"])
            #expect(driver.done == ["half-close"])
            driver.end()
            #expect(driver.reason == reason)
        }
    }

    @Test("a further part of a header does not prolong its timeout")
    func drips() {
        var driver = MachineDriver(at: 100)
        driver.arrive("GET /a HT")
        driver.arriveUnseen("TP/1.1\r\nHo")
        driver.now = ConnectionStateTests.at(1000)
        let expiry = driver.fire()
        #expect(expiry == [.look, .answerTimeout(.headTimeout)])
    }

    @Test("all that has arrived is read before the deadline takes effect, except for an endless flood")
    func large() {
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"
        var driver = MachineDriver(at: 100)
        driver.arrive(head)
        driver.arriveUnseen(String(repeating: "x", count: 900_000))
        driver.now = ConnectionStateTests.at(1000)
        let first = driver.fire()
        #expect(first == [.look, .lookLater])
        var rounds = 0
        while driver.answers.isEmpty, rounds < 100 {
            rounds += 1
            driver.takeTurn()
            _ = driver.fire()
        }
        #expect(driver.answers == ["/a persists"])
        var flood = MachineDriver(at: 100, limits: ParserLimits(body: 1 << 40))
        flood.arrive("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        flood.now = ConnectionStateTests.at(1000)
        flood.arriveUnseen(String(repeating: "x", count: 16_000_000))
        var looks = 0
        while flood.answers.isEmpty, looks < 1000 {
            looks += 1
            _ = flood.fire()
            flood.takeTurn()
        }
        #expect(flood.answers == ["408 closes"], "after \(looks) looks")
    }

    @Test("a client that read its response during the pause keeps its connection")
    func write() {
        var driver = MachineDriver(at: 100)
        driver.takes = false
        driver.arrive(Self.get)
        driver.now = ConnectionStateTests.at(1000)
        let first = driver.machine.timedOut(ConnectionStateTests.table, at: driver.now)
        #expect(first == .look)
        driver.drainOutput()
        let second = driver.machine.timedOut(ConnectionStateTests.table, at: driver.now)
        #expect(second == .none)
        driver.takes = false
        driver.arrive(Self.get)
        driver.now = ConnectionStateTests.at(2000)
        let third = driver.fire()
        #expect(third == [.look, .abort(.writeTimeout)])
    }

    @Test(
        "bytes that arrive during the lingering are read before the close, so that no reset destroys the last response")
    func linger() {
        var driver = MachineDriver(at: 100)
        driver.arrive("@@@")
        driver.arriveUnseen("more")
        driver.now = ConnectionStateTests.at(1000)
        let expiry = driver.fire()
        #expect(expiry == [.look, .close(.refused)])
    }

    @Test("during a drain a recently active connection has the grace, and one idle for longer closes at once")
    func grace() {
        let grace = Duration.seconds(3).nanoseconds
        var recent = MachineDriver(at: 100)
        recent.arrive(Self.get)
        recent.now = ConnectionStateTests.at(102)
        recent.machine.leave(grace: grace, at: recent.now)
        #expect(recent.machine.deadline(ConnectionStateTests.table) == ConnectionStateTests.at(103))
        let early = recent.fire()
        #expect(early == [.none])
        recent.now = ConnectionStateTests.at(103)
        let late = recent.fire()
        #expect(late == [.look, .close(.drained)])
        var quiet = MachineDriver(at: 100)
        quiet.arrive(Self.get)
        quiet.now = ConnectionStateTests.at(110)
        quiet.machine.leave(grace: grace, at: quiet.now)
        let atOnce = quiet.fire()
        #expect(atOnce == [.look, .close(.drained)])
        var asking = MachineDriver(at: 100)
        asking.arrive(Self.get)
        asking.now = ConnectionStateTests.at(110)
        asking.arriveUnseen(Self.get)
        asking.machine.leave(grace: grace, at: asking.now)
        _ = asking.fire()
        #expect(asking.answers == ["/a persists", "/a closes"])
    }

    @Test(
        "during a drain an incomplete header has the grace from now or its first byte, and never more than its timeout"
    )
    func graceOfHeader() {
        let grace = Duration.seconds(3).nanoseconds
        var early = MachineDriver(at: 100)
        early.arrive("GET /a HT")
        early.now = ConnectionStateTests.at(105)
        early.machine.leave(grace: grace, at: early.now)
        #expect(early.machine.deadline(ConnectionStateTests.table) == ConnectionStateTests.at(108))
        early.now = ConnectionStateTests.at(107)
        early.arrive("TP/1.1\r\n")
        #expect(early.machine.deadline(ConnectionStateTests.table) == ConnectionStateTests.at(108))
        early.now = ConnectionStateTests.at(108)
        let expiry = early.fire()
        #expect(expiry == [.look, .answerTimeout(.drained)])
        #expect(early.answers == ["408 closes"] && early.done == ["half-close"])

        var late = MachineDriver(at: 100)
        late.machine.leave(grace: grace, at: late.now)
        late.now = ConnectionStateTests.at(102)
        late.arrive("GET /a HT")
        #expect(late.machine.deadline(ConnectionStateTests.table) == ConnectionStateTests.at(105))
        late.arrive("TP/1.1\r\nHost: a\r\n\r\n")
        #expect(late.answers == ["/a closes"])

        var nearlyTimedOut = MachineDriver(at: 100)
        nearlyTimedOut.arrive("GET /a HT")
        nearlyTimedOut.machine.leave(grace: grace, at: ConnectionStateTests.at(109))
        #expect(nearlyTimedOut.machine.deadline(ConnectionStateTests.table) == ConnectionStateTests.at(110))
    }

    @Test("a grace longer than the idle timeout does not prolong it")
    func longGrace() {
        var driver = MachineDriver(at: 100)
        driver.arrive(Self.get)
        driver.machine.leave(grace: .max, at: driver.now)
        #expect(driver.machine.deadline(ConnectionStateTests.table) == ConnectionStateTests.at(175))
    }
}
