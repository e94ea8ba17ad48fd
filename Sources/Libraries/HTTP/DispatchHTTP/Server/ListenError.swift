internal import Glibc

/// Why a server cannot listen: where, and what to do about it.
public struct ListenError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The address as it was configured.
    public let address: String
    /// The error number, or 0 when there is no such address.
    public let errno: Int32
    /// What is wrong and what to do, for a person.
    public let problem: String

    /// `cannot listen on …: …`
    public var description: String { "cannot listen on \(address): \(problem)" }

    init(unknown host: String) {
        address = host
        errno = 0
        problem =
            "this is no IP address and no name in /etc/hosts; use for instance 127.0.0.1, ::1, localhost, or * for all"
    }

    /// A socket that was handed over cannot be listened on.
    init(descriptor: Int32, problem: String) {
        address = "descriptor \(descriptor)"
        errno = 0
        self.problem = problem
    }

    init(_ address: SocketAddress, errno: Int32) {
        self.address = address.description
        self.errno = errno
        problem =
            switch errno {
            case EADDRINUSE: "the port is in use; stop the process that has it, or choose another port"
            case EACCES: "not permitted; ports below 1024 are for privileged processes, choose a higher one"
            case EADDRNOTAVAIL: "no network interface of this machine has this address"
            case EAFNOSUPPORT: "this machine has no such address family"
            case EMFILE, ENFILE: "no file descriptor is left; raise the limit (ulimit -n)"
            default: String(cString: strerror(errno))
            }
    }
}
