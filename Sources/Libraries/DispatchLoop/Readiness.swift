internal import CLinux

/// What a caller wants to hear of a descriptor.
public struct Interest: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8

    /// The interest with the given bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// That there is something to read, or that the peer has ended.
    public static let read = Interest(rawValue: 1)
    /// That there is room to write.
    public static let write = Interest(rawValue: 2)

    func epollEvents(_ trigger: Trigger) -> UInt32 {
        var events = UInt32(EPOLLRDHUP.rawValue)
        if contains(.read) { events |= UInt32(EPOLLIN.rawValue) }
        if contains(.write) { events |= UInt32(EPOLLOUT.rawValue) }
        if trigger == .edge { events |= Trigger.edgeBit }
        return events
    }
}

/// When a readiness is reported.
public enum Trigger: Sendable {
    /// Once for each change: the handler must read or write until the kernel has no more. Cheapest; for our own sockets.
    case edge
    /// As long as it lasts. For sockets that a library reads, which may leave something behind (libpq does).
    case level

    static let edgeBit: UInt32 = 1 << 31  // EPOLLET, a macro that the importer cannot take
}

/// What the kernel says of a descriptor.
public struct Readiness: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8

    /// The readiness with the given bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A read gives bytes, an end or an error.
    public static let readable = Readiness(rawValue: 1)
    /// A write takes bytes or gives an error.
    public static let writable = Readiness(rawValue: 2)
    /// The peer has closed its side (`EPOLLRDHUP`) or both are closed (`EPOLLHUP`).
    public static let hangup = Readiness(rawValue: 4)
    /// The descriptor is in error (`EPOLLERR`).
    public static let error = Readiness(rawValue: 8)

    init(epollEvents events: UInt32) {
        var readiness: Readiness = []
        if events & UInt32(EPOLLIN.rawValue) != 0 { readiness.insert(.readable) }
        if events & UInt32(EPOLLOUT.rawValue) != 0 { readiness.insert(.writable) }
        if events & UInt32(EPOLLRDHUP.rawValue | EPOLLHUP.rawValue) != 0 { readiness.insert(.hangup) }
        if events & UInt32(EPOLLERR.rawValue) != 0 { readiness.insert(.error) }
        self = readiness
    }
}
