/// The request target by its grammar (RFC 9112 §3.2, RFC 3986), for the reference reader.
enum TargetGrammar {
    static func accepts(_ target: [UInt8], method: [UInt8]) -> Bool {
        let isOptions = method == Array("OPTIONS".utf8)
        if method == Array("CONNECT".utf8) { return isAuthority(target, portRequired: true) }
        if target == Array("*".utf8) { return isOptions }
        if target.first == UInt8(ascii: "/") { return isPathAndQuery(target) }
        // RFC 9110 §7.4: https only over TLS.
        let scheme = Array("http://".utf8)
        guard target.lowercased.starts(with: scheme) else { return false }
        let rest = Array(target.dropFirst(scheme.count))
        let authority = Array(rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
        guard !authority.isEmpty, authority[0] != UInt8(ascii: ":") else { return false }
        return isAuthority(authority, portRequired: false) && isPathAndQuery(Array(rest.dropFirst(authority.count)))
    }

    static func isAuthority(_ authority: [UInt8], portRequired: Bool) -> Bool {
        let text = String(decoding: authority, as: UTF8.self)
        guard text.utf8.elementsEqual(authority) else { return false }
        let host: Substring
        let port: Substring?
        if text.hasPrefix("[") {
            guard let bracket = text.firstIndex(of: "]") else { return false }
            host = text[...bracket]
            let rest = text[text.index(after: bracket)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return false }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { return false }
            host = parts.first ?? ""
            port = parts.count == 2 ? parts[1] : nil
        }
        if portRequired, host.isEmpty || !(1...65535).contains(port.flatMap { Int($0) } ?? 0) { return false }
        guard port.map({ $0.utf8.count <= 5 && $0.utf8.allSatisfy(\.isDecimal) }) ?? true else { return false }
        if host.hasPrefix("[") { return isIPLiteral(host.dropFirst().dropLast()) }
        return isRegName(host)
    }

    private static let hostMarks = Set("-._~!$&'()*+,;=".utf8)

    private static func isRegName(_ name: some StringProtocol) -> Bool {
        var rest = Array(name.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst(), let low = rest.popFirst() else { return false }
                guard high.isHexadecimal, low.isHexadecimal else { return false }
            } else {
                let isLetter = (65...90).contains(byte) || (97...122).contains(byte)
                guard isLetter || byte.isDecimal || hostMarks.contains(byte) else { return false }
            }
        }
        return true
    }

    private static func isIPLiteral(_ literal: Substring) -> Bool {
        if literal.first == "v" || literal.first == "V" {
            let parts = literal.dropFirst().split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return false }
            return parts[0].utf8.allSatisfy(\.isHexadecimal) && !parts[1].contains("%")
                && parts[1].split(separator: ":").allSatisfy { isRegName($0) }
        }
        // RFC 6874: a zone follows "%25".
        if let percent = literal.firstIndex(of: "%") {
            let zone = literal[percent...]
            guard zone.hasPrefix("%25"), zone.utf8.count > 3, isZone(zone.dropFirst(3)) else { return false }
            return isIPv6(literal[..<percent])
        }
        return isIPv6(literal)
    }

    private static func isZone(_ zone: Substring) -> Bool {
        isRegName(zone) && !zone.contains { "!$&'()*+,;=".contains($0) }
    }

    private static func isIPv6(_ text: Substring) -> Bool {
        var text = String(text)
        // An IPv4 address at the end stands for two groups.
        if text.contains(".") {
            guard let colon = text.lastIndex(of: ":") else { return false }
            let numbers = text[text.index(after: colon)...].split(separator: ".", omittingEmptySubsequences: false)
            guard numbers.count == 4, numbers.allSatisfy(isOctet) else { return false }
            text = text[...colon] + "0:0"
        }
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        let groups = halves.map { $0.isEmpty ? [] : $0.split(separator: ":", omittingEmptySubsequences: false) }
        guard groups.joined().allSatisfy({ (1...4).contains($0.utf8.count) && $0.utf8.allSatisfy(\.isHexadecimal) })
        else { return false }
        let count = groups.joined().count
        return halves.count == 1 ? count == 8 : halves.count == 2 && count <= 7
    }

    private static func isOctet(_ text: Substring) -> Bool {
        text.utf8.allSatisfy(\.isDecimal) && Int(text).map { $0 <= 255 && String($0) == text } ?? false
    }

    private static func isPathAndQuery(_ bytes: [UInt8]) -> Bool {
        guard bytes.allSatisfy({ (33...126).contains($0) && $0 != UInt8(ascii: "#") }) else { return false }
        var rest = bytes.prefix { $0 != UInt8(ascii: "?") }
        var decoded: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(), high.isHexadecimal, low.isHexadecimal,
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16), value != 0
            else { return false }
            decoded.append(value)
        }
        return String(validating: decoded, as: UTF8.self) != nil
    }
}
