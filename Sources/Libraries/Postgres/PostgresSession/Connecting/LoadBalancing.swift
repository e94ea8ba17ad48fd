internal import Glibc

/// Extracts `load_balance_hosts` (PostgreSQL manual 16 and later, 34.1.2) from the connection string. libpq 15 rejects
/// it as unknown, and later versions see one host per connect, so ``ConnectRace`` implements it for all versions.
enum LoadBalancing {
    static let keyword = "load_balance_hosts"

    /// `PGLOADBALANCEHOSTS`, if it is set.
    static var environment: String? { getenv("PGLOADBALANCEHOSTS").map { String(cString: $0) } }

    /// The connection string without the parameter, and the parameter's value, if present. The last one counts.
    static func take(from text: String) -> (rest: String, value: String?) {
        let isURI = text.hasPrefix("postgres://") || text.hasPrefix("postgresql://")
        return isURI ? takeFromURI(text) : takeFromPairs(text)
    }

    private static func takeFromURI(_ text: String) -> (rest: String, value: String?) {
        guard let start = text.firstRange(of: "?\(keyword)=") ?? text.firstRange(of: "&\(keyword)=") else {
            return (text, nil)
        }
        let end = text[start.upperBound...].firstIndex(of: "&") ?? text.endIndex
        let value = String(text[start.upperBound..<end])
        // The parameter after it inherits its `?` or `&`.
        let follower = end < text.endIndex ? "\(text[start.lowerBound])\(text[text.index(after: end)...])" : ""
        let (rest, later) = takeFromURI(text[..<start.lowerBound] + follower)
        return (rest, later ?? value)
    }

    /// `keyword = value` pairs; a value with spaces is quoted, a backslash escapes the next character.
    private static func takeFromPairs(_ text: String) -> (rest: String, value: String?) {
        let bytes = Array(text.utf8)
        var kept: [UInt8] = []
        var value: String?
        var index = 0
        func isSpace(_ byte: UInt8) -> Bool { isspace(Int32(byte)) != 0 }
        func skipSpace() { while index < bytes.count, isSpace(bytes[index]) { index += 1 } }
        while index < bytes.count {
            let start = index
            skipSpace()
            let name = index
            while index < bytes.count, bytes[index] != UInt8(ascii: "="), !isSpace(bytes[index]) { index += 1 }
            let isWanted = bytes[name..<index].elementsEqual(keyword.utf8)
            skipSpace()
            // Not a pair: libpq reports the error.
            guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else { return (text, nil) }
            index += 1
            skipSpace()
            var content: [UInt8] = []
            let isQuoted = index < bytes.count && bytes[index] == UInt8(ascii: "'")
            if isQuoted { index += 1 }
            while index < bytes.count, isQuoted ? bytes[index] != UInt8(ascii: "'") : !isSpace(bytes[index]) {
                if bytes[index] == UInt8(ascii: "\\") { index += 1 }
                if index < bytes.count { content.append(bytes[index]) }
                index += 1
            }
            if isQuoted {
                guard index < bytes.count else { return (text, nil) }
                index += 1
            }
            index = min(index, bytes.count)
            if isWanted {
                value = String(decoding: content, as: UTF8.self)
            } else {
                kept += bytes[start..<index]
            }
            if index < bytes.count, bytes[index...].allSatisfy(isSpace) { index = bytes.count }
        }
        return value == nil ? (text, nil) : (String(decoding: kept, as: UTF8.self), value)
    }
}
