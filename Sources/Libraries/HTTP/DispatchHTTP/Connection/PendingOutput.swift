/// Output that the kernel has not taken yet. Nearly always empty, and then it holds no memory.
struct PendingOutput {
    private var bytes: [UInt8] = []
    private var start = 0

    /// The number of waiting bytes.
    var count: Int { bytes.count - start }

    /// The approximate memory in bytes.
    var capacity: Int { bytes.capacity }

    /// Appends a copy of `new`.
    mutating func append(_ new: some Collection<UInt8>) {
        // Removes sent bytes once they are the greater part, so each byte moves once on average.
        if start > 0, start >= count {
            bytes.removeSubrange(..<start)
            start = 0
        }
        bytes.append(contentsOf: new)
    }

    /// Removes `count` bytes that the kernel has taken.
    mutating func sent(_ count: Int) {
        start += count
        if start == bytes.count { self = PendingOutput() }
    }

    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[start...])) }
    }
}
