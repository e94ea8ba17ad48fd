/// A descriptor's place in the loop. Never equal to that of any earlier registration of the same number.
public struct Registration: Hashable, Sendable {
    let index: UInt32
    let serial: UInt32
    /// The descriptor as it was registered. Deregistering goes by this one, not by what a library says it uses now.
    public let descriptor: Int32

    var token: UInt64 { UInt64(serial) << 32 | UInt64(index) }
}

/// Who hears of which descriptor.
///
/// The kernel hands back a datum with each event. An event fetched before its registration ended may be handled after
/// it, when the same slot (and the same descriptor number) belongs to somebody else: the serial in the datum tells.
package struct RegistrationTable<Handler> {
    private struct Slot {
        var serial: UInt32
        var handler: Handler?
        var trigger: Trigger
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    /// The serial of a slot's first registration: above those of slots that have been forgotten.
    private var firstSerial: UInt32 = 1

    package init() {}

    package var count: Int { slots.count - free.count }

    package mutating func insert(_ handler: Handler, descriptor: Int32, trigger: Trigger) -> Registration {
        if let index = free.popLast() {
            slots[Int(index)].handler = handler
            slots[Int(index)].trigger = trigger
            return Registration(index: index, serial: slots[Int(index)].serial, descriptor: descriptor)
        }
        slots.append(Slot(serial: firstSerial, handler: handler, trigger: trigger))
        return Registration(index: UInt32(slots.count - 1), serial: firstSerial, descriptor: descriptor)
    }

    /// Gives back memory that a peak has left behind.
    package mutating func shrink() {
        var end = slots.count
        while end > 0, slots[end - 1].handler == nil {
            firstSerial = max(firstSerial, slots[end - 1].serial)
            end -= 1
        }
        slots = slots[..<end].withUnsafeBufferPointer { Array($0) }
        // Low slots are used first from now on, so that the next time more are free at the end.
        free = free.filter { $0 < end }.sorted(by: >)
    }

    /// How many slots there are, taken or free.
    package var slotCount: Int { slots.count }

    /// Ends the registration; `false` when it has ended before.
    package mutating func remove(_ registration: Registration) -> Bool {
        guard trigger(of: registration) != nil else { return false }
        slots[Int(registration.index)].handler = nil
        slots[Int(registration.index)].serial &+= 1
        free.append(registration.index)
        return true
    }

    /// How the registration is triggered; `nil` when it has ended.
    package func trigger(of registration: Registration) -> Trigger? {
        let index = Int(registration.index)
        guard index < slots.count, slots[index].serial == registration.serial, slots[index].handler != nil else {
            return nil
        }
        return slots[index].trigger
    }

    /// Who is to hear of an event with this datum; `nil` when its registration has ended.
    package func handler(for token: UInt64) -> Handler? {
        let index = Int(token & 0xFFFF_FFFF)
        guard index < slots.count, slots[index].serial == UInt32(token >> 32) else { return nil }
        return slots[index].handler
    }
}
