package import HTTP1
import HTTPTypes

/// The output of a parser.
package struct Outcome: Equatable, Sendable {
    package struct Request: Equatable, CustomStringConvertible, Sendable {
        package var method: String
        package var target: String
        package var path: String
        package var query: String?
        package var authority: String?
        package var isHTTP10: Bool
        package var keepAlive: Bool
        package var fields: [String]
        /// The number of bytes consumed up to the request's delivery.
        package var end: Int

        package init(_ head: RequestHead, end: Int) {
            method = head.method.rawValue
            target = head.target
            path = head.path
            query = head.query
            authority = head.authority
            isHTTP10 = head.version == .http10
            keepAlive = head.keepAlive
            fields = head.fields.map { "\($0.name.rawName): \($0.value)" }
            self.end = end
        }

        package var description: String { "\(method) \(target) \(fields) to \(end)" }
    }

    package var requests: [Request] = []
    package var error: HTTP1Error?
    /// The progress of the undelivered request.
    package var progress = RequestParser.Progress.idle
    /// Violations of the parser's invariants.
    package var breaches: [String] = []

    /// Feeds the pieces as a server does: appends up to the room, then takes all requests.
    package init(_ pieces: [[UInt8]], limits: ParserLimits = ParserLimits()) {
        var parser = RequestParser(limits: limits)
        var fed = 0
        do throws(HTTP1Error) {
            for piece in pieces {
                var rest = piece[...]
                while true {
                    let taken = parser.append(Array(rest))
                    rest = rest.dropFirst(taken)
                    fed += taken
                    try take(&parser, fed: fed)
                    if rest.isEmpty { break }
                    if parser.room == 0 { return }
                }
            }
            progress = parser.progress
        } catch {
            self.error = error
            expectFinalFailure(&parser, error)
        }
    }

    private mutating func take(_ parser: inout RequestParser, fed: Int) throws(HTTP1Error) {
        while true {
            if parser.bufferedBytes > parser.limits.buffered {
                breaches.append("the parser keeps more bytes than its bound")
            }
            switch try parser.next() {
            case .needsMore:
                // Otherwise the server would wait forever.
                if parser.room == 0 { breaches.append("the parser needs more bytes and has no room") }
                return
            case .continueExpected:
                continue
            case .request(let head):
                requests.append(Request(head, end: fed - parser.bufferedBytes))
            }
        }
    }

    private mutating func expectFinalFailure(_ parser: inout RequestParser, _ error: HTTP1Error) {
        let more = Array(Cut.trailing.utf8)
        if parser.append(more) != more.count { breaches.append("a failed parser did not drop bytes") }
        if parser.bufferedBytes != 0 { breaches.append("a failed parser keeps bytes") }
        do throws(HTTP1Error) {
            _ = try parser.next()
            breaches.append("the failure was not final")
        } catch let second {
            if second != error { breaches.append("a later error differs") }
        }
    }
}
