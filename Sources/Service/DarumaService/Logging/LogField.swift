import DispatchLoop
package import Logging

/// A field of a log line. JSON lines show numbers as numbers.
enum LogField: ExpressibleByStringLiteral {
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

    /// The value in a text line.
    var text: String {
        switch self {
        case .text(let text): text
        case .integer(let number): String(number)
        case .duration(let duration): duration.text
        }
    }

    /// The field in a JSON line. The name of a duration ends with `-ms`.
    func member(named name: String) -> (String, JSONValue) {
        switch self {
        case .text(let text): (name, .string(text))
        case .integer(let number): (name, .integer(number))
        case .duration(let duration): ("\(name)-ms", .integer(duration.wholeMilliseconds))
        }
    }
}

/// Marks a metadata value as a duration.
private struct LoggedDuration: CustomStringConvertible, Sendable {
    let value: Duration
    var description: String { value.text }
}

extension Logger.MetadataValue {
    /// A duration: `5.2 s` in text lines, `"…-ms":5213` in JSON lines.
    package static func duration(_ duration: Duration) -> Logger.MetadataValue {
        .stringConvertible(LoggedDuration(value: duration))
    }
}
