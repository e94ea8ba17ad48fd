internal import CLinux

/// A descriptor that the loop watches.
package struct Registration: Hashable, Sendable {
    let id: Int
    /// The descriptor at registration. Deregistration uses this one, because a library may have changed its own since.
    package let descriptor: Int32

    /// The kernel returns the token with each event. An event may be handled after its registration has ended and the
    /// same descriptor number belongs to another one; the token then finds nothing, because ids are not reused.
    var token: UInt64 { UInt64(id) }
}

/// The events that a caller wants from a descriptor.
package struct Interest: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Bytes to read, or the peer's end.
    package static let read = Interest(rawValue: 1)
    /// Room to write.
    package static let write = Interest(rawValue: 2)

    func epollEvents(_ trigger: Trigger) -> UInt32 {
        var events = UInt32(EPOLLRDHUP.rawValue)
        if contains(.read) { events |= UInt32(EPOLLIN.rawValue) }
        if contains(.write) { events |= UInt32(EPOLLOUT.rawValue) }
        if trigger == .edge { events |= Trigger.edgeBit }
        return events
    }
}

/// When the loop reports readiness.
package enum Trigger: Sendable {
    /// Once per change, so the handler must read or write until the kernel has no more. Cheapest; for our own sockets.
    case edge
    /// As long as it lasts. For sockets that a library reads and may leave half read (libpq does).
    case level

    static let edgeBit: UInt32 = 1 << 31  // EPOLLET, a macro that the importer cannot take
}

/// The kernel's report on a descriptor. Public, because release builds inline small public functions across modules,
/// but not package ones, and each event calls several.
public struct Readiness: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8

    /// The readiness with the given bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A read returns bytes, the end or an error.
    public static let readable = Readiness(rawValue: 1)
    /// A write takes bytes or returns an error.
    public static let writable = Readiness(rawValue: 2)
    /// The peer has closed its side (`EPOLLRDHUP`), or both sides are closed (`EPOLLHUP`).
    public static let hangup = Readiness(rawValue: 4)
    /// The descriptor has an error (`EPOLLERR`).
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
