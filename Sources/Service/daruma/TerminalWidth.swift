import Glibc

/// How long lines for a reader may be.
enum TerminalWidth {
    /// The terminal's width as far as lines of that length read well; 80 where there is no terminal.
    static var current: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return min(max(Int(size.ws_col), 50), 100)
    }
}
