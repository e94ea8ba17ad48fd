import Glibc

/// Descriptors 0, 1 and 2. Where the parent has closed one (`<&-`), the first socket or eventfd gets its number, and what
/// is written to the log goes there.
enum StandardDescriptors {
    /// Opens those that are closed on `/dev/null`. For the beginning of the program: nothing may have been opened yet.
    static func openMissing() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // Gets the lowest number that is free, which is this one.
            guard open("/dev/null", O_RDWR) == descriptor else { _exit(71) }  // EX_OSERR; there is nowhere to say it.
        }
    }
}
