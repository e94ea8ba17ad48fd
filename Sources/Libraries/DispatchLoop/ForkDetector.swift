internal import Glibc

/// Tells the process that created it from processes forked from that one.
package struct ForkDetector: Sendable {
    private let processID = getpid()

    package init() {}

    package var isOwnProcess: Bool { getpid() == processID }
}
