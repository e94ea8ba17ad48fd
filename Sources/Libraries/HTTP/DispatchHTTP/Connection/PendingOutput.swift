/// What the kernel would not take yet. Empty nearly always, and then without memory.
struct PendingOutput {
    private var bytes: [UInt8] = []
    private var start = 0

    /// How many bytes wait.
    var count: Int { bytes.count - start }

    /// How many bytes of memory it holds, roughly.
    var capacity: Int { bytes.capacity }

    /// Puts `new` behind what waits. Copies it.
    mutating func append(_ new: some Collection<UInt8>) {
        // Bytes that are gone make room once they are the greater part: each is moved once on average.
        if start > 0, start >= count {
            bytes.removeSubrange(..<start)
            start = 0
        }
        bytes.append(contentsOf: new)
    }

    /// The kernel has taken `count` bytes from the front.
    mutating func sent(_ count: Int) {
        start += count
        if start == bytes.count { self = PendingOutput() }
    }

    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[start...])) }
    }
}
