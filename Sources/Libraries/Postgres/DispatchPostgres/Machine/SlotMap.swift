/// Values by number, in places that are used again: no hashing, and no memory taken once it has grown to what is needed.
/// A number is not valid any more once its value has been removed, also when its place has been given to another.
struct SlotMap<Value: Sendable>: Sendable {
    private struct Place {
        var serial = 1
        var value: Value?
    }

    private var places: [Place] = []
    private var free: [Int] = []
    private static var serialBits: Int { 32 }

    /// Where a number's value is: below ``capacity``, and nobody else's until it is removed.
    static func place(of number: Int) -> Int { number & (1 << serialBits - 1) }

    /// How many places there are.
    var capacity: Int { places.count }

    mutating func insert(_ value: Value) -> Int {
        let index = free.popLast() ?? places.count
        if index == places.count { places.append(Place()) }
        places[index].value = value
        return places[index].serial << Self.serialBits | index
    }

    /// `nil` when there is none with this number any more; setting it does nothing then.
    subscript(number: Int) -> Value? {
        get { isValid(number) ? places[Self.place(of: number)].value : nil }
        _modify {
            if isValid(number) {
                yield &places[Self.place(of: number)].value
            } else {
                var nobody: Value?
                yield &nobody
            }
        }
    }

    mutating func remove(_ number: Int) -> Value? {
        guard isValid(number) else { return nil }
        let index = Self.place(of: number)
        places[index].serial = places[index].serial % Int(Int32.max) + 1
        free.append(index)
        return places[index].value.take()
    }

    private func isValid(_ number: Int) -> Bool {
        let index = Self.place(of: number)
        return index < places.count && places[index].serial == number >> Self.serialBits && places[index].value != nil
    }
}
