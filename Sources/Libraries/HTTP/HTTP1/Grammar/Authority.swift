/// `uri-host [ ":" port ]`, RFC 9110 §4.2 and §7.2.
enum Authority {
    /// Whether `range` is a host with an optional port by the grammar of RFC 3986 §3.2.2 and §3.2.3, because a server
    /// must reject an invalid `Host` (RFC 9112 §3.2). Does not check whether the host exists.
    static func isValid(_ bytes: Span<UInt8>, _ range: Range<Int>, needsPort: Bool) -> Bool {
        var index = range.lowerBound
        if index < range.upperBound, bytes[index] == UInt8(ascii: "[") {
            let end = bytes.firstIndex(of: UInt8(ascii: "]"), in: range)
            guard end < range.upperBound, isIPLiteral(bytes, (index + 1)..<end) else { return false }
            index = end + 1
        } else {
            index = bytes.firstIndex(of: UInt8(ascii: ":"), in: range)
            guard isRegName(bytes, range.lowerBound..<index) else { return false }
        }
        if index == range.upperBound { return !needsPort }
        guard bytes[index] == UInt8(ascii: ":") else { return false }
        if needsPort, index == range.lowerBound || index + 1 == range.upperBound { return false }
        let port = (index + 1)..<range.upperBound
        guard port.count <= 5 else { return false }
        var number = 0
        for index in port {
            guard bytes[index].isDigit else { return false }
            number = number * 10 + Int(bytes[index] - UInt8(ascii: "0"))
        }
        // RFC 9110 §9.3.6: a server rejects CONNECT to an invalid port. Elsewhere any digits are a port (RFC 3986
        // §3.2.3).
        return !needsPort || (1...65535).contains(number)
    }

    /// `*( unreserved / pct-encoded / sub-delims / further )`.
    private static func isRegName(_ bytes: Span<UInt8>, _ range: Range<Int>, further: UInt8? = nil) -> Bool {
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "%") {
                guard index + 1 < range.upperBound, bytes[index].hexValue != nil, bytes[index + 1].hexValue != nil
                else { return false }
                index += 2
            } else if !byte.isUnreserved, !byte.isSubDelimiter, byte != further {
                return false
            }
        }
        return true
    }

    /// `IPv6address / IPvFuture`, and the zone of RFC 6874 after `%25`, which some clients send.
    private static func isIPLiteral(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard let first = range.first else { return false }
        if bytes[first] | 0x20 == UInt8(ascii: "v") {
            let dot = bytes.firstIndex(of: UInt8(ascii: "."), in: range)
            for index in (first + 1)..<max(first + 1, dot) where bytes[index].hexValue == nil { return false }
            let rest = min(dot + 1, range.upperBound)..<range.upperBound
            for index in rest where bytes[index] == UInt8(ascii: "%") { return false }
            return dot > first + 1 && !rest.isEmpty && isRegName(bytes, rest, further: UInt8(ascii: ":"))
        }
        let percent = bytes.firstIndex(of: UInt8(ascii: "%"), in: range)
        if percent < range.upperBound {
            let zone = min(percent + 3, range.upperBound)..<range.upperBound
            guard !zone.isEmpty, bytes.isEqual(percent..<(percent + 3), "%25"), isRegName(bytes, zone) else {
                return false
            }
            for index in zone where bytes[index].isSubDelimiter { return false }
        }
        return isIPv6(bytes, range.lowerBound..<percent)
    }

    /// Eight groups of up to four hexadecimal digits. `::` may replace one run of zero groups, and an IPv4 address the
    /// last two groups.
    private static func isIPv6(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var groups = 0
        var hasGap = false
        var index = range.lowerBound
        if range.count >= 2, bytes.isEqual(index..<(index + 2), "::") {
            hasGap = true
            index += 2
        }
        while index < range.upperBound {
            var end = index
            while end < range.upperBound, bytes[end].hexValue != nil { end += 1 }
            if end < range.upperBound, bytes[end] == UInt8(ascii: ".") {
                guard isIPv4(bytes, index..<range.upperBound) else { return false }
                groups += 2
                break
            }
            guard end > index, end - index <= 4 else { return false }
            groups += 1
            guard end < range.upperBound else { break }
            guard bytes[end] == UInt8(ascii: ":"), end + 1 < range.upperBound else { return false }
            index = end + 1
            if bytes[index] == UInt8(ascii: ":") {
                guard !hasGap else { return false }
                hasGap = true
                index += 1
            }
        }
        // A gap replaces at least one group.
        return hasGap ? groups <= 7 : groups == 8
    }

    /// Four `dec-octet`, without leading zeros.
    private static func isIPv4(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var start = range.lowerBound
        for octet in 0..<4 {
            let end = bytes.firstIndex(of: UInt8(ascii: "."), in: start..<range.upperBound)
            guard (end == range.upperBound) == (octet == 3), end > start, end - start <= 3 else { return false }
            guard end - start == 1 || bytes[start] != UInt8(ascii: "0") else { return false }
            var value = 0
            for index in start..<end {
                guard bytes[index].isDigit else { return false }
                value = value * 10 + Int(bytes[index] - UInt8(ascii: "0"))
            }
            guard value <= 255 else { return false }
            start = min(end + 1, range.upperBound)
        }
        return true
    }
}

extension UInt8 {
    /// `unreserved`, RFC 3986 §2.3.
    fileprivate var isUnreserved: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default:
            false
        }
    }

    /// `sub-delims`, RFC 3986 §2.2.
    fileprivate var isSubDelimiter: Bool {
        switch self {
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("),
            UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"),
            UInt8(ascii: "="):
            true
        default:
            false
        }
    }
}
