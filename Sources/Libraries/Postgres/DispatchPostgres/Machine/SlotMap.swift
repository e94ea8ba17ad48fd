/// A slot map: O(1) by generational index, without hashing, and without allocation in the steady state. A number
/// becomes invalid when its value is removed, even if its slot is reused.
struct SlotMap<Value: Sendable>: Sendable {
    private struct Entry {
        var serial = 1
        var value: Value?
    }

    private var entries: [Entry] = []
    private var free: [Int] = []
    private static var serialBits: Int { 32 }

    /// The index of a number's slot, which no other number has until the value is removed.
    static func index(of number: Int) -> Int { number & (1 << serialBits - 1) }

    mutating func insert(_ value: Value) -> Int {
        let index = free.popLast() ?? entries.count
        if index == entries.count { entries.append(Entry()) }
        entries[index].value = value
        return entries[index].serial << Self.serialBits | index
    }

    /// `nil` for a number that is not valid; setting it then does nothing.
    subscript(number: Int) -> Value? {
        get { isValid(number) ? entries[Self.index(of: number)].value : nil }
        _modify {
            if isValid(number) {
                yield &entries[Self.index(of: number)].value
            } else {
                var missing: Value?
                yield &missing
            }
        }
    }

    mutating func remove(_ number: Int) -> Value? {
        guard isValid(number) else { return nil }
        let index = Self.index(of: number)
        entries[index].serial = entries[index].serial % Int(Int32.max) + 1
        free.append(index)
        return entries[index].value.take()
    }

    private func isValid(_ number: Int) -> Bool {
        let index = Self.index(of: number)
        return index < entries.count && entries[index].serial == number >> Self.serialBits
            && entries[index].value != nil
    }
}
