internal import CLibPQ

/// PostgreSQL's client library.
package enum LibPQ {
    /// The version at run time, such as `15.18`.
    package static var version: String {
        let number = Int(PQlibVersion())
        return "\(number / 10_000).\(number % 10_000)"
    }
}
