/// Answers that were worked on, one behind the other in one buffer, until they are sent at the end of the round of the loop.
/// Sent as it is ready, each would wake its client, which on a small machine then runs in place of the handlers that are
/// still at work.
struct ResponseBatch {
    struct Entry {
        let connection: Connection
        let bytes: Range<Int>
    }

    private(set) var bytes: [UInt8] = []
    private(set) var entries: [Entry] = []

    /// The most that is held back; what comes beyond it is sent as it is ready.
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
