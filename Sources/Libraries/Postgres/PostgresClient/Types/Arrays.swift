/// The texts of arrays (PostgreSQL manual, 8.15.6).
enum ArrayText {
    private static let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))

    /// Every element is in quotes, so that none is taken for NULL or a delimiter; arrays within are not.
    static func text(of elements: [String?], areArrays: Bool) -> String {
        var text = "{"
        for (index, element) in elements.enumerated() {
            if index > 0 { text += "," }
            guard let element else {
                text += "NULL"
                continue
            }
            if areArrays {
                text += element
                continue
            }
            text += "\""
            if element.utf8.contains(where: { $0 == quote || $0 == backslash }) {
                for scalar in element.unicodeScalars {
                    if scalar == "\"" || scalar == "\\" { text += "\\" }
                    text.unicodeScalars.append(scalar)
                }
            } else {
                text += element
            }
            text += "\""
        }
        return text + "}"
    }

    /// The elements of an array of one dimension.
    static func elements(in text: String) throws(PostgresDecodingError.Reason) -> [String?] {
        let text = Array(text.utf8)
        guard let first = text.first, text.count >= 2 else { throw .malformed }
        // `[0:2]={…}`: the server writes the bounds only if one is not 1.
        if first == UInt8(ascii: "[") { throw .unsupportedArray }
        guard first == UInt8(ascii: "{"), text.last == UInt8(ascii: "}") else { throw .malformed }
        if text.count == 2 { return [] }
        var elements: [String?] = []
        var index = 1
        while true {
            elements.append(try element(in: text, &index))
            switch text[index] {
            case UInt8(ascii: ","): index += 1
            case UInt8(ascii: "}") where index == text.count - 1: return elements
            default: throw .malformed
            }
        }
    }

    /// Reads an element, and leaves `index` at the character behind it: at most the last.
    private static func element(
        in text: [UInt8], _ index: inout Int
    ) throws(PostgresDecodingError.Reason) -> String? {
        let isQuoted = text[index] == quote
        if text[index] == UInt8(ascii: "{") { throw .unsupportedArray }
        if isQuoted { index += 1 }
        var bytes: [UInt8] = []
        while index < text.count - 1 {
            let byte = text[index]
            if isQuoted ? byte == quote : byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") { break }
            if byte == backslash {
                index += 1
                guard index < text.count - 1 else { throw .malformed }
            }
            bytes.append(text[index])
            index += 1
        }
        if isQuoted {
            guard text[index] == quote else { throw .malformed }
            index += 1
            guard index < text.count else { throw .malformed }
        } else {
            if bytes.isEmpty { throw .malformed }
            // The server quotes a text that reads NULL, in all cases of letters.
            if bytes == Array("NULL".utf8) { return nil }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Array: PostgresEncodable where Element: PostgresEncodable {
    /// The elements' array type; `bytea` for `[UInt8]`.
    public static var postgresType: PostgresType { Element.postgresArrayType }

    /// An array's text; that of binary data for `[UInt8]`. Arrays of arrays must all have the same length.
    public func postgresText() throws -> String? {
        if Element.self == UInt8.self, let bytes = self as? [UInt8] { return BytesText.text(of: bytes) }
        return ArrayText.text(
            of: try map { try $0.postgresText() },
            areArrays: Element.postgresType.isArray && Element.postgresType != .bytea)
    }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    /// Reads an array of one dimension whose indices begin at 1; `bytea` as `[UInt8]`.
    public static func decode(_ value: PostgresValue) throws -> [Element] {
        if Element.self == UInt8.self, let bytes = try BytesText.bytes(in: value.text(of: .bytea)) as? [Element] {
            return bytes
        }
        guard let text = value.text else { throw PostgresDecodingError.Reason.isNull }
        guard value.type.isArray || value.type.isUserDefined else { throw PostgresDecodingError.Reason.wrongType }
        let type = value.type.element
        return try ArrayText.elements(in: text).map {
            do { return try Element.decode(PostgresValue(text: $0, type: type)) } catch PostgresDecodingError.Reason
                .isNull
            {
                throw PostgresDecodingError.Reason.hasNullElement
            }
        }
    }
}
