/// JSON, as far as reports need it.
package indirect enum JSONText: Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case text(String)
    case array([JSONText])
    case object([(String, JSONText)])

    /// A number, or null.
    package static func optional(_ value: Double?) -> JSONText { value.map(JSONText.number) ?? .null }

    package var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value):
            value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\((value * 1000).rounded() / 1000)"
        case .text(let value): Self.quoted(value)
        case .array(let values): "[\(values.map(\.text).joined(separator: ", "))]"
        case .object(let members):
            "{\(members.map { "\(Self.quoted($0)): \($1.text)" }.joined(separator: ", "))}"
        }
    }

    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
