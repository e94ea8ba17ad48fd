import Glibc

/// Lines to the terminal, in colour where a person is looking.
enum Terminal {
    /// What a colour means here.
    enum Colour: String {
        case good = "32"
        case bad = "31"
        case event = "33"
        case faint = "2"
        case heading = "1"
    }

    /// https://no-color.org
    private static let usesColour: Bool = {
        let isPlain = getenv("NO_COLOR").map { $0[0] != 0 } ?? false
        let isDumb = getenv("TERM").map { String(cString: $0) == "dumb" } ?? true
        return isatty(STDOUT_FILENO) == 1 && !isPlain && !isDumb
    }()

    static func coloured(_ text: String, _ colour: Colour) -> String {
        usesColour ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// One line, whole and at once, whichever thread it comes from.
    static func say(_ line: String = "") { write(line, to: STDOUT_FILENO) }

    static func complain(_ line: String) { write(line, to: STDERR_FILENO) }

    private static func write(_ line: String, to descriptor: Int32) {
        var rest = Array("\(line)\n".utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
