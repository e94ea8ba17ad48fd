import FaultLab
import Glibc

/// Prints whole lines, in colour on a terminal.
enum Terminal {
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

    /// Writes one line at once, from any thread.
    static func print(_ line: String = "") { write(line, to: STDOUT_FILENO) }

    static func printError(_ line: String) { write(line, to: STDERR_FILENO) }

    /// Warns that other load on the machine makes benchmarks useless.
    static func warnIfLoaded(_ host: HostInfo) {
        if host.load > 0.5 { printError("The machine is busy (load \(host.load)): do not trust these figures.") }
    }

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
