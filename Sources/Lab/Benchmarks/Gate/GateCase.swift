/// What the gate measures.
package enum GateCase: String, CaseIterable, Sendable {
    /// The parser, on what a load generator sends: one field.
    case parse
    /// The parser, on what a browser sends: twelve fields.
    case parseBrowser = "parse-browser"
    /// A prepared answer written out.
    case serialize
    /// A connection checked out of a pool and given back, with the free check.
    case checkOut = "check-out"
    /// The same with `select 1` on it.
    case query
    /// `select 1` through a pipeline over one connection, with sixteen callers.
    case pipeline
    /// A connection that goes from waiter to waiter, with ten of them in the queue all the time.
    case waiters10 = "waiters-10"
    /// The same with ten thousand: what a check-out costs must not depend on how many wait.
    case waiters10000 = "waiters-10000"
    /// The service, one request after the other on one connection.
    case root = "/"
    /// The service, sixteen requests at a time.
    case pipelined = "/-pipelined"
    /// The service with its query.
    case ping = "/ping"

    /// Whether the service itself is measured, from outside, or a loop in a process of its own.
    package var isService: Bool { self == .root || self == .pipelined || self == .ping }
    /// Whether it needs a database.
    package var needsDatabase: Bool { !(self == .parse || self == .parseBrowser || self == .serialize) }

    /// What is asked of the service.
    package var path: String { self == .ping ? "/ping" : "/" }
    /// How many requests are on their way at a time.
    package var depth: Int { self == .pipelined ? 16 : 1 }

    /// How many turns the two runs have between which the difference is taken. Enough that what happens now and then
    /// (a new `Date` each second) does not show.
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
