import DispatchLoop
import HTTP1
import Testing

@testable import DispatchHTTP

@Suite("phases of a connection and their deadlines")
struct ConnectionStateTests {
    static let table = TimeoutNanoseconds(
        .init(
            head: .seconds(10), bodyStall: .seconds(30), body: .seconds(120), idle: .seconds(75),
            writeStall: .seconds(31), write: .seconds(121), linger: .seconds(2)))

    static func at(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    @Test("a new connection without bytes is idle, and closes without a response after the idle timeout")
    func fresh() {
        let state = ConnectionState(at: Self.at(100))
        #expect(state.deadline(Self.table) == Self.at(175))
        #expect(state.expiry == .close(.idleTimeout))
        #expect(state.takesRequests)
    }

    @Test("the timeout of the first header runs from its first byte")
    func firstHeader() {
        var state = ConnectionState(at: Self.at(100))
        state.received(.head, at: Self.at(150))
        state.received(.head, at: Self.at(159))
        #expect(state.deadline(Self.table) == Self.at(160))
        #expect(state.expiry == .answerTimeout(.headTimeout))
    }

    @Test("empty lines do not prolong the idle timeout before the first request")
    func emptyLines() {
        var state = ConnectionState(at: Self.at(100))
        state.received(.idle, at: Self.at(109))
        #expect(state.deadline(Self.table) == Self.at(175))
    }

    @Test("on a reserved place no timeout exceeds the reserved one")
    func reservedPlace() {
        var timeouts = ServerConfiguration.Timeouts()
        timeouts.head = .milliseconds(500)
        let table = TimeoutNanoseconds(timeouts.onReservedPlace)
        var state = ConnectionState(at: Self.at(100))
        #expect(state.deadline(table) == Self.at(102))
        state.received(.head, at: Self.at(101))
        #expect(state.deadline(table) == MonotonicTime(nanoseconds: 101_500_000_000))
        state.received(.body, at: Self.at(101))
        #expect(state.deadline(table) == Self.at(103))
        state.outputBlocked(at: Self.at(110))
        #expect(state.deadline(table) == Self.at(112))
    }

    @Test("the timeout of a later header runs from its first byte")
    func laterHeader() {
        var state = Self.served(at: 100)
        #expect(state.deadline(Self.table) == Self.at(175))
        #expect(state.expiry == .close(.idleTimeout))
        state.received(.head, at: Self.at(150))
        state.received(.head, at: Self.at(155))
        #expect(state.deadline(Self.table) == Self.at(160))
    }

    @Test("a body has a timeout between pieces and one for the whole")
    func body() {
        var state = Self.served(at: 100)
        state.received(.body, at: Self.at(110))
        #expect(state.deadline(Self.table) == Self.at(140))
        state.received(.body, at: Self.at(139))
        #expect(state.deadline(Self.table) == Self.at(169))
        for second in stride(from: Int64(165), to: 230, by: 20) { state.received(.body, at: Self.at(second)) }
        #expect(state.deadline(Self.table) == Self.at(230))
        #expect(state.expiry == .answerTimeout(.bodyTimeout))
    }

    @Test("a request in work has no deadline, and the connection takes no other meanwhile")
    func working() {
        var state = Self.served(at: 100)
        state.began(at: Self.at(101))
        #expect(state.deadline(Self.table) == nil)
        #expect(!state.takesRequests)
        state.received(.head, at: Self.at(102))
        #expect(state.phase == .working)
        state.answered(at: Self.at(150))
        #expect(state.deadline(Self.table) == Self.at(225))
    }

    @Test("waiting output has a timeout between pieces and one for all, and the connection takes no request meanwhile")
    func blocked() {
        var state = Self.served(at: 100)
        state.outputBlocked(at: Self.at(110))
        #expect(!state.takesRequests)
        #expect(state.deadline(Self.table) == Self.at(141))
        #expect(state.expiry == .abort(.writeTimeout))
        for second in stride(from: Int64(130), to: 230, by: 20) { state.outputBlocked(at: Self.at(second)) }
        #expect(state.deadline(Self.table) == Self.at(231))
        state.outputSent(at: Self.at(230))
        #expect(state.takesRequests)
        #expect(state.expiry == .close(.idleTimeout))
        #expect(
            state.deadline(Self.table) == Self.at(305), "the idle time begins when the client has read the response")
    }

    @Test("a stream whose client reads has no deadline, takes no request, and ends like a response")
    func streaming() {
        var state = Self.served(at: 100)
        state.streams()
        #expect(state.phase == .idle)
        state.began(at: Self.at(101))
        state.streams()
        #expect(state.phase == .streaming)
        #expect(!state.takesRequests)
        #expect(state.deadline(Self.table) == nil)
        state.received(.head, at: Self.at(102))
        #expect(state.phase == .streaming)
        state.outputBlocked(at: Self.at(200))
        #expect(state.deadline(Self.table) == Self.at(231))
        #expect(state.expiry == .abort(.writeTimeout))
        state.outputSent(at: Self.at(250))
        #expect(state.deadline(Self.table) == nil)
        state.answered(at: Self.at(300))
        #expect(state.deadline(Self.table) == Self.at(375))
        #expect(state.takesRequests)
    }

    @Test("the first close reason stays, and the connection takes no further request")
    func closing() {
        var state = Self.served(at: 100)
        state.close(after: .requested)
        state.close(after: .drained)
        #expect(!state.takesRequests)
        state.linger(at: Self.at(101))
        #expect(state.deadline(Self.table) == Self.at(103))
        #expect(state.expiry == .close(.requested))
        state.closed()
        #expect(state.deadline(Self.table) == nil)
    }

    @Test("an infinite timeout never expires")
    func endless() {
        var timeouts = ServerConfiguration.Timeouts()
        timeouts.idle = .seconds(Int64.max)
        #expect(Self.served(at: 100).deadline(TimeoutNanoseconds(timeouts)) == .distantFuture)
    }

    static func served(at second: Int64) -> ConnectionState {
        var state = ConnectionState(at: at(second))
        state.began(at: at(second))
        state.answered(at: at(second))
        state.received(.idle, at: at(second))
        return state
    }
}

@Suite("pending output")
struct PendingOutputTests {
    @Test("bytes come out in order, however they are cut, and sent ones are freed")
    func order() {
        var output = PendingOutput()
        var next: UInt8 = 0
        var expected: UInt8 = 0
        for round in 1...500 {
            let piece = (0..<(round % 70)).map { _ in
                defer { next &+= 1 }
                return next
            }
            output.append(piece)
            let taken = min(output.count, round % 83)
            output.withBytes { bytes in
                #expect(bytes.count == output.count)
                for index in 0..<taken {
                    #expect(bytes[index] == expected)
                    expected &+= 1
                }
            }
            output.sent(taken)
        }
        output.sent(output.count)
        #expect(output.count == 0)
        #expect(output.capacity == 0)
    }

    @Test("a queue that never becomes empty stays small")
    func bounded() {
        var output = PendingOutput()
        for _ in 0..<10_000 {
            output.append([UInt8](repeating: 1, count: 100))
            if output.count > 1000 { output.sent(100) }
        }
        #expect(output.capacity < 8192)
    }
}
