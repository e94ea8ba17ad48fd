internal import Glibc

/// Why a server cannot listen on an address, and a remedy.
public struct ListenError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The address as configured.
    public let address: String
    /// The error number, or 0 if no system call failed.
    public let errno: Int32
    /// The problem and a remedy, for a person.
    public let problem: String

    /// `cannot listen on …: …`
    public var description: String { "cannot listen on \(address): \(problem)" }

    /// The resolver does not know the name. `reason` says why.
    init(unknown host: String, reason: String) {
        address = host
        errno = 0
        problem = "\(reason); use an IP address, a host name of this machine, localhost, or * for all addresses"
    }

    /// The server cannot adopt a socket.
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
