import DispatchHTTP
import DispatchLoop
package import Logging

/// A field of a log line: text for people, and for machines a number where it is one.
enum LogField: Equatable, ExpressibleByStringLiteral {
    case text(String)
    case integer(Int)
    case duration(Duration)

    init(stringLiteral value: String) { self = .text(value) }

    init(_ value: Logger.MetadataValue) {
        switch value {
        case .stringConvertible(let duration as LoggedDuration): self = .duration(duration.value)
        case .stringConvertible(let number as Int): self = .integer(number)
        default: self = .text("\(value)")
        }
    }

    /// For people.
    var text: String {
        switch self {
        case .text(let text): text
        case .integer(let number): String(number)
        case .duration(let duration): duration.text
        }
    }

    /// As a member of a JSON object. Durations are milliseconds, and called so.
    func member(named name: String) -> String {
        let name = ErrorBody.escaped(name)
        return switch self {
        case .text(let text): "\"\(name)\":\"\(ErrorBody.escaped(text))\""
        case .integer(let number): "\"\(name)\":\(number)"
        case .duration(let duration): "\"\(name)-ms\":\(duration.milliseconds)"
        }
    }
}

/// Tells the log that a value is a duration.
private struct LoggedDuration: CustomStringConvertible, Sendable {
    let value: Duration
    var description: String { value.text }
}

extension Logger.MetadataValue {
    /// A duration: `5.2 s` for people, `"…-ms":5213` for machines.
    package static func duration(_ duration: Duration) -> Logger.MetadataValue {
        .stringConvertible(LoggedDuration(value: duration))
    }
}
