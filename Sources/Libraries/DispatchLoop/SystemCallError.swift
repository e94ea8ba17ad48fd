internal import Glibc

/// A system call that failed: which one, and the error number it left.
public struct SystemCallError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call's name, as its manual page has it.
    public let call: String
    /// The value of `errno` after it.
    public let errno: Int32

    /// An error of `call` with the given number.
    public init(call: String, errno: Int32) {
        self.call = call
        self.errno = errno
    }

    /// An error of `call`, which has just left its number in `errno`.
    public init(call: String) {
        self.init(call: call, errno: Glibc.errno)
    }

    /// For example `epoll_ctl: Bad file descriptor (errno 9)`.
    public var description: String {
        "\(call): \(String(cString: strerror(errno))) (errno \(errno))"
    }
}
