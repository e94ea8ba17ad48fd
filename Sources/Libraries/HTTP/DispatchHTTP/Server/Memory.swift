internal import CLinux

/// The process's memory.
enum Memory {
    /// Gives pages that hold nothing back to the kernel. The allocator by itself keeps what lies below its highest block
    /// in use, which after a peak of connections is most of it.
    static func returnUnused() {
        malloc_trim(0)
    }
}
