/// A JSON value that keeps the order of its members and prints them as the original service did, indented by two
/// spaces.
///
/// `JSONEncoder` would add Foundation to the binary.
enum JSONValue: Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    /// A number as the database wrote it. The caller has checked that it is valid JSON.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object([(String, JSONValue)])

    /// The value as UTF-8, indented, or on one line without spaces.
    func bytes(isCompact: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(512)
        write(into: &bytes, indent: isCompact ? nil : 0)
        return bytes
    }

    /// Without `indent`, writes one line.
    private func write(into bytes: inout [UInt8], indent: Int?) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let text): bytes.append(contentsOf: text.utf8)
        case .string(let text): Self.write(text, into: &bytes)
        case .array(let elements):
            Self.write(elements, "[", "]", into: &bytes, indent: indent) {
                $0.write(into: &$1, indent: indent.map { $0 + 1 })
            }
        case .object(let members):
            Self.write(members, "{", "}", into: &bytes, indent: indent) {
                Self.write($0.0, into: &$1)
                $1.append(contentsOf: (indent == nil ? ":" : ": ").utf8)
                $0.1.write(into: &$1, indent: indent.map { $0 + 1 })
            }
        }
    }

    private static func write(_ text: String, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        JSONText.append(text, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    private static func write<Element>(
        _ elements: [Element], _ open: Unicode.Scalar, _ close: Unicode.Scalar, into bytes: inout [UInt8], indent: Int?,
        _ writeElement: (Element, inout [UInt8]) -> Void
    ) {
        bytes.append(UInt8(ascii: open))
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            if let indent { newLine(indent + 1, into: &bytes) }
            writeElement(element, &bytes)
        }
        if let indent, !elements.isEmpty { newLine(indent, into: &bytes) }
        bytes.append(UInt8(ascii: close))
    }

    private static func newLine(_ indent: Int, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\n"))
        for _ in 0..<2 * indent { bytes.append(UInt8(ascii: " ")) }
    }
}
