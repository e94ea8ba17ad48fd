import Glibc

/// The line length of `--help`.
enum TerminalWidth {
    /// The terminal's width, from 50 to 100; 80 without a terminal.
    static var current: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return min(max(Int(size.ws_col), 50), 100)
    }
}
