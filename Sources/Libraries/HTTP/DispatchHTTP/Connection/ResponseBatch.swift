/// The responses of one round of the loop, in one buffer, sent at its end. Each write wakes its client, which on few
/// cores preempts the handlers that are still running.
struct ResponseBatch {
    struct Entry {
        let connection: Connection
        let bytes: Range<Int>
    }

    private(set) var bytes: [UInt8] = []
    private(set) var entries: [Entry] = []

    /// The size limit in bytes. Further responses are sent at once.
    private static let mostBytes = 262_144

    var isEmpty: Bool { entries.isEmpty }

    func hasRoom(for answer: [UInt8]) -> Bool { bytes.count + answer.count <= Self.mostBytes }

    mutating func add(_ answer: [UInt8], of connection: Connection) {
        let start = bytes.count
        bytes += answer
        entries.append(Entry(connection: connection, bytes: start..<bytes.count))
    }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        entries.removeAll(keepingCapacity: true)
    }
}
