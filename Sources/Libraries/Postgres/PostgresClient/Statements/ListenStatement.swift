extension String {
    /// Whether it is a statement that begins with LISTEN or UNLISTEN. Looks at the first letter only, in nearly all cases.
    var beginsWithListen: Bool {
        var rest = Substring(self).utf8[...]
        while let first = rest.first {
            switch first {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t"), UInt8(ascii: "\r"), 0x0B, 0x0C,
                UInt8(ascii: ";"):
                rest = rest.dropFirst()
            case UInt8(ascii: "-") where rest.starts(with: "--".utf8):
                rest = rest.drop { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
            case UInt8(ascii: "/") where rest.starts(with: "/*".utf8): rest = Self.afterComment(rest)
            case UInt8(ascii: "l"), UInt8(ascii: "L"): return Self.begins(rest, with: "listen")
            case UInt8(ascii: "u"), UInt8(ascii: "U"): return Self.begins(rest, with: "unlisten")
            default: return false
            }
        }
        return false
    }

    /// Comments nest (PostgreSQL manual, 4.1.5).
    private static func afterComment(_ text: Substring.UTF8View.SubSequence) -> Substring.UTF8View.SubSequence {
        var rest = text
        var depth = 0
        repeat {
            if rest.starts(with: "/*".utf8) {
                depth += 1
                rest = rest.dropFirst(2)
            } else if rest.starts(with: "*/".utf8) {
                depth -= 1
                rest = rest.dropFirst(2)
            } else {
                rest = rest.dropFirst()
            }
        } while depth > 0 && !rest.isEmpty
        return rest
    }

    private static func begins(_ text: Substring.UTF8View.SubSequence, with word: String) -> Bool {
        let count = word.utf8.count
        guard text.prefix(count).elementsEqual(word.utf8, by: { $0 | 0x20 == $1 }) else { return false }
        // No longer word, such as a function's or a prepared statement's.
        guard let next = text.dropFirst(count).first else { return true }
        let isPartOfName =
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) || next == UInt8(ascii: "_")
            || next == UInt8(ascii: "$") || next >= 0x80
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(next | 0x20)
        return !isPartOfName
    }
}

extension PostgresClientError {
    /// The error of a LISTEN on a lease: its notifications would reach the connection's next user.
    static var listensOnLease: PostgresClientError {
        PostgresClientError(
            .misuse, isSafeToRetry: false,
            text: "LISTEN and UNLISTEN do not run on a connection of the pool, which others use next; "
                + "use subscribe(to:), which keeps one for that")
    }
}
