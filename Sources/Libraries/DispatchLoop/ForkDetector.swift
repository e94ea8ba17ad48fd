internal import Glibc

/// Tells the process that made it from those that are forked from it, without a system call.
package struct ForkDetector: ~Copyable {
    /// A page that the kernel empties in a forked process (madvise(2), MADV_WIPEONFORK); `nil` where it cannot be had.
    private let page: UnsafeMutablePointer<UInt8>?
    private let processID = getpid()
    private static let size = Int(sysconf(Int32(_SC_PAGESIZE)))

    package init() {
        let memory = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            page = nil
            return
        }
        guard madvise(memory, Self.size, Int32(MADV_WIPEONFORK)) == 0 else {
            munmap(memory, Self.size)
            page = nil
            return
        }
        let page = memory.assumingMemoryBound(to: UInt8.self)
        page.pointee = 1
        self.page = page
    }

    deinit {
        if let page { munmap(page, Self.size) }
    }

    /// Whether this is the process in which the mark was made.
    package var isOwnProcess: Bool { page.map { $0.pointee == 1 } ?? (getpid() == processID) }
}
