import DispatchLoop
import HTTP1
import HTTPTypes

@testable import DispatchHTTP

/// Performs the actions of a `ConnectionMachine` with a list of pieces as its socket, a simulated kernel, and handlers
/// that respond at once or on demand.
struct MachineDriver {
    var machine: ConnectionMachine
    var now: MonotonicTime
    /// The kernel's receive buffer; `nil` is the client's end.
    private var inbox: [ArraySlice<UInt8>?] = []
    /// Whether the kernel accepts output.
    var takes = true
    /// Targets whose responses wait for `complete`.
    var held: Set<String> = []
    /// The number of responses after which the server announces its shutdown.
    var announcesAfter: Int?
    private(set) var holding: RequestHead?
    /// The responses so far, as `target persists`.
    private(set) var answers: [String] = []
    /// The other actions so far, except reads.
    private(set) var done: [String] = []
    private(set) var reason: ConnectionCloseReason?
    /// The most requests per turn.
    var turn = 32

    init(at second: Int64 = 100, maxLingerBytes: Int = 1000, limits: ParserLimits = ParserLimits()) {
        now = ConnectionStateTests.at(second)
        machine = ConnectionMachine(limits: limits, maxLingerBytes: maxLingerBytes, at: now)
    }

    /// Bytes arrive.
    mutating func arrive(_ text: String) { arrive(Array(text.utf8)) }

    /// Bytes arrive.
    mutating func arrive(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        inbox.append(bytes[...])
        machine.readable()
        run()
    }

    /// Bytes arrive in the kernel, without an event on the loop.
    mutating func arriveUnseen(_ text: String) { inbox.append(Array(text.utf8)[...]) }

    /// The client's end arrives.
    mutating func end() {
        inbox.append(nil)
        if machine.endAnnounced() { return finish(.clientClosed) }
        machine.readable()
        run()
    }

    /// The kernel takes all waiting output.
    mutating func drainOutput() {
        takes = true
        if machine.state.isBlocked { machine.wrote(all: true, at: now) }
        run()
    }

    /// The handler completes its response.
    mutating func complete() {
        guard let request = holding.take() else { return }
        answer(request)
        run()
    }

    /// The turn after a yield comes.
    mutating func takeTurn() {
        machine.turnCame()
        run()
    }

    /// The timer fires.
    mutating func fire(_ table: TimeoutNanoseconds = ConnectionStateTests.table) -> [ConnectionMachine.Expiry] {
        var said: [ConnectionMachine.Expiry] = []
        while reason == nil {
            let expiry = machine.timedOut(table, at: now)
            said.append(expiry)
            switch expiry {
            case .none, .lookLater: return said
            case .look: run()
            case .close(let reason), .abort(let reason): finish(reason)
            case .answerTimeout(let reason):
                machine.refuse(reason)
                answers.append("408 closes")
                run()
                return said
            }
        }
        return said
    }

    mutating func run() {
        machine.beginTurn(requests: turn)
        // More steps than any test needs.
        for _ in 0..<100_000 {
            guard reason == nil else { return }
            switch machine.next(at: now) {
            case .handle(let request):
                if held.contains(request.target) { holding = request } else { answer(request) }
            case .sendContinue: done.append("continue")
            case .refuse(let error): answers.append("\(error.status.code) closes")
            case .write: machine.wrote(all: takes, at: now)
            case .read(let size): read(size)
            case .discard: read(4096)
            case .halfClose: done.append("half-close")
            case .close(let reason): return finish(reason)
            case .yield: return done.append("yield")
            case .wait: return
            }
        }
        done.append("no end")
    }

    private mutating func answer(_ request: RequestHead) {
        if let announcesAfter, answers.count >= announcesAfter { machine.announceLeaving() }
        if machine.hasNoBufferedBytes { lookForEnd() }
        let connection = machine.frame(answerTo: request, closes: request.target == "/last")
        machine.answered(at: now)
        answers.append("\(request.target) \(connection)")
    }

    private mutating func read(_ size: Int) {
        guard let piece = inbox.first else { return machine.receivedNothing() }
        guard let bytes = piece else { return machine.receivedEnd() }
        let taken = bytes.prefix(size)
        if taken.count == bytes.count { inbox.removeFirst() } else { inbox[0] = bytes.dropFirst(size) }
        machine.received(taken, of: size)
        if taken.count < size {
            lookForEnd()
            // The kernel reports further bytes.
            if !inbox.isEmpty { machine.readable() }
        }
    }

    private mutating func lookForEnd() {
        if machine.mayBeAtEnd, let next = inbox.first, next == nil { machine.receivedEnd() }
    }

    private mutating func finish(_ reason: ConnectionCloseReason) {
        self.reason = reason
        machine.closed()
    }
}
