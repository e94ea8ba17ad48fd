/// A slot map: values under generational ids, without hashing, and without allocation once it has grown.
///
/// An id is the index of a slot and the serial of the slot's value. A removal ends the id, so an id that outlives its
/// value never finds the slot's next value. Serials start at 1, so no id is 0.
///
/// `@_spi public` instead of `package`: Swift 6.3 specializes an `@inlinable` generic in another module only if it is
/// public. Unspecialized, each access would go through the value's type metadata.
@_spi(Containers) public struct SlotMap<Value> {
    @usableFromInline struct Slot {
        @usableFromInline var serial: Int
        @usableFromInline var value: Value?

        @usableFromInline init(serial: Int, value: Value) {
            self.serial = serial
            self.value = value
        }
    }

    @usableFromInline var slots: [Slot] = []
    @usableFromInline var free: [Int] = []
    /// The serial of a new slot: not below those of slots that `shrink` has dropped.
    @usableFromInline var firstSerial: Int

    /// Creates an empty map.
    @inlinable public init(firstSerial: Int = 1) { self.firstSerial = firstSerial }

    /// The last serial before they restart at 1. Its ids are still positive `Int` values.
    @inlinable public static var lastSerial: Int { Int(Int32.max) }

    /// The index of the id's slot: a small number that no other value has until this one is removed.
    @inlinable public static func index(of id: Int) -> Int { id & 0xFFFF_FFFF }

    /// The number of values.
    @inlinable public var count: Int { slots.count - free.count }

    /// The number of slots, used or free.
    @inlinable public var capacity: Int { slots.count }

    /// The index of the slot for the next value.
    @inlinable public var nextIndex: Int { free.last ?? slots.count }

    /// All values, by index.
    public var values: [Value] { slots.compactMap(\.value) }

    /// Adds a value and returns its id.
    @inlinable
    public mutating func insert(_ value: Value) -> Int {
        guard let index = free.popLast() else {
            slots.append(Slot(serial: firstSerial, value: value))
            return firstSerial << 32 | (slots.count - 1)
        }
        slots[index].value = value
        return slots[index].serial << 32 | index
    }

    /// The value, or `nil` after its removal.
    @inlinable
    public subscript(id: Int) -> Value? { isValid(id) ? slots[Self.index(of: id)].value : nil }

    /// The value in the slot with this index.
    @inlinable
    public subscript(at index: Int) -> Value? { index < slots.count ? slots[index].value : nil }

    /// Changes the value in place; does nothing after its removal. `change` must not assign `nil`.
    ///
    /// Not a `_modify` accessor, which allocates a coroutine's frame with each call. An optional, because taking the
    /// value out and putting it back cost 3 % more for a waiter among 10,000.
    @inlinable
    public mutating func update(_ id: Int, _ change: (inout Value?) -> Void) {
        if isValid(id) { update(at: Self.index(of: id), change) }
    }

    /// Changes the value in the slot with this index in place; an empty slot has `nil`, which must stay `nil`.
    @inlinable
    public mutating func update(at index: Int, _ change: (inout Value?) -> Void) { change(&slots[index].value) }

    /// Removes the value and returns it; returns `nil` if it has been removed before.
    @inlinable
    @discardableResult
    public mutating func remove(_ id: Int) -> Value? {
        isValid(id) ? remove(at: Self.index(of: id)) : nil
    }

    /// Removes the value in the slot with this index.
    @inlinable
    @discardableResult
    public mutating func remove(at index: Int) -> Value? {
        guard let value = slots[index].value.take() else { return nil }
        slots[index].serial = slots[index].serial == Self.lastSerial ? 1 : slots[index].serial + 1
        free.append(index)
        return value
    }

    /// Frees the memory of empty slots at the end. From now on the map fills low slots first, so that the next call can
    /// free more.
    public mutating func shrink() {
        var end = slots.count
        while end > 0, slots[end - 1].value == nil {
            firstSerial = max(firstSerial, slots[end - 1].serial)
            end -= 1
        }
        slots = slots[..<end].withUnsafeBufferPointer { Array($0) }
        free = free.filter { $0 < end }.sorted(by: >)
    }

    @inlinable
    func isValid(_ id: Int) -> Bool {
        let index = Self.index(of: id)
        return index < slots.count && slots[index].serial == id >> 32 && slots[index].value != nil
    }
}

extension SlotMap: Sendable where Value: Sendable {}
extension SlotMap.Slot: Sendable where Value: Sendable {}
