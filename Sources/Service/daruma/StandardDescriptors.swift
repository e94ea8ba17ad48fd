import Glibc

/// Descriptors 0, 1 and 2. If the parent has closed one (`<&-`), the first socket or eventfd would get its number, and
/// with it the log.
enum StandardDescriptors {
    /// Opens the closed ones on `/dev/null`. Must run before the program opens any other descriptor.
    static func openMissing() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // open(2) returns the lowest free number, which is this one.
            guard open("/dev/null", O_RDWR) == descriptor else { _exit(71) }  // EX_OSERR
        }
    }
}
