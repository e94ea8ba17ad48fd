internal import Glibc

/// A system call that failed, and its error number.
package struct SystemCallError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call's name, as in its manual page.
    package let call: String
    /// The value of `errno` after the call.
    package let errno: Int32

    package init(call: String, errno: Int32) {
        self.call = call
        self.errno = errno
    }

    /// The error of `call`, which has just set `errno`.
    package init(call: String) {
        self.init(call: call, errno: Glibc.errno)
    }

    /// For example `epoll_ctl: Bad file descriptor (errno 9)`.
    package var description: String { "\(call): \(String(cString: strerror(errno))) (errno \(errno))" }
}
