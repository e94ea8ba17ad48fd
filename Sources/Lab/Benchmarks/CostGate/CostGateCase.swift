/// An operation whose cost the gate measures.
package enum CostGateCase: String, CaseIterable, Sendable {
    /// Parses a load generator's request, which has one field.
    case parse
    /// Parses a browser's request, which has twelve fields.
    case parseBrowser = "parse-browser"
    /// Writes a prepared response.
    case serialize
    /// Checks a connection out and in, with the liveness check.
    case checkOut = "check-out"
    /// The same with `select 1`.
    case query
    /// `select 1` through a pipeline over one connection, with sixteen callers.
    case pipeline
    /// Passes a connection from waiter to waiter, with ten in the queue.
    case waiters10 = "waiters-10"
    /// The same with ten thousand: the cost must not depend on the queue's length.
    case waiters10000 = "waiters-10000"
    /// The service, with sequential requests on one connection.
    case root = "/"
    /// The service, with sixteen requests at a time.
    case pipelined = "/-pipelined"
    /// The service, with its query.
    case ping = "/ping"

    /// Whether the case runs the service, or a loop in its own process.
    package var isService: Bool { self == .root || self == .pipelined || self == .ping }

    /// What timing decides of the case's cost; nil where it decides nothing.
    ///
    /// Measured on a busy machine: 20,918 instructions and 8.28 allocations per request, with 0.069 batches and 0.057
    /// check-outs; on an idle one 20,029 and 7.13, with 0.125 batches. A batch is a turn of the loop, by which
    /// ``root`` and ``pipelined`` differ.
    package var timing: BatchTiming? {
        guard self == .pipeline else { return nil }
        return BatchTiming(
            callers: 16,
            batch: RequestCost(instructions: 2_350, allocations: 1, reads: 1, writes: 0, waits: 1, otherCalls: 2),
            checkOut: RequestCost(instructions: 17_900, allocations: 21, reads: 1, writes: 0, waits: 0, otherCalls: 0))
    }

    package var path: String { self == .ping ? "/ping" : "/" }
    /// The number of requests in flight.
    package var depth: Int { self == .pipelined ? 16 : 1 }

    /// The repetitions of the two runs whose difference is the cost. High enough to hide rare events, such as a new
    /// `Date` each second.
    package var turns: (few: Int, many: Int) {
        switch self {
        case .parse, .parseBrowser, .serialize: (1_000, 11_000)
        case .checkOut, .query: (500, 3_500)
        case .waiters10, .waiters10000: (10_000, 20_000)
        case .pipeline: (1_600, 9_600)
        case .root, .pipelined: (1_600, 17_600)
        case .ping: (500, 4_500)
        }
    }
}
