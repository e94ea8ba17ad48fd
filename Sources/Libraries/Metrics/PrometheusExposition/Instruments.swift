internal import CoreMetrics
internal import Synchronization

// Instruments record from any thread without a lock, with one or two atomic operations.

/// A count.
final class CounterInstrument: CounterHandler, FloatingPointCounterHandler {
    private let whole = Atomic<Int>(0)
    private let fraction = AtomicDouble()

    var value: Double { Double(whole.load(ordering: .relaxed)) + fraction.value }

    // A counter only grows, except for a reset.
    func increment(by amount: Int64) {
        if amount > 0 { whole.wrappingAdd(Int(amount), ordering: .relaxed) }
    }

    func increment(by amount: Double) {
        if amount > 0 { fraction.add(amount) }
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.set(0)
    }
}

/// The latest value.
final class GaugeInstrument: RecorderHandler, MeterHandler {
    private let latest = AtomicDouble()

    var value: Double { latest.value }

    func record(_ value: Int64) { latest.set(Double(value)) }
    func record(_ value: Double) { latest.set(value) }
    func set(_ value: Int64) { latest.set(Double(value)) }
    func set(_ value: Double) { latest.set(value) }
    func increment(by amount: Double) { latest.add(amount) }
    func decrement(by amount: Double) { latest.add(-amount) }
}

/// The numbers of values between the boundaries, and their sum.
final class HistogramInstrument: RecorderHandler, TimerHandler {
    let boundaries: [Double]
    /// One per boundary, and one beyond the last.
    private let counts: [AtomicCount]
    private let total = AtomicDouble()

    init(boundaries: [Double]) {
        self.boundaries = boundaries
        counts = (0...boundaries.count).map { _ in AtomicCount() }
    }

    var sum: Double { total.value }

    /// For each boundary and for infinity, the number of values up to it.
    var cumulativeCounts: [Int] {
        var sum = 0
        return (0...boundaries.count).map { index in
            sum += counts[index].value.load(ordering: .relaxed)
            return sum
        }
    }

    func record(_ value: Double) {
        // NaN belongs to no bucket.
        guard !value.isNaN else { return }
        var index = 0
        while index < boundaries.count, value > boundaries[index] { index += 1 }
        counts[index].value.wrappingAdd(1, ordering: .relaxed)
        total.add(value)
    }

    func record(_ value: Int64) { record(Double(value)) }

    // Divided, not multiplied by 1e-9: the quotient is the double nearest to the decimal, so it equals a boundary.
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
}

/// An atomic number that an array can hold.
private final class AtomicCount: Sendable {
    let value = Atomic<Int>(0)
}

/// A double with atomic addition.
private struct AtomicDouble: ~Copyable {
    private let bits = Atomic<UInt64>(0)

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    func add(_ amount: Double) {
        guard amount != 0 else { return }
        var known = bits.load(ordering: .relaxed)
        while true {
            let sum = (Double(bitPattern: known) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: known, desired: sum, ordering: .relaxed)
            if exchanged { return }
            known = original
        }
    }
}
