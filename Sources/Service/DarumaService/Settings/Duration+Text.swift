import DispatchLoop

extension Duration {
    /// Whole milliseconds, rounded down. The lab's `milliseconds` has a fraction.
    package var wholeMilliseconds: Int { Int(nanoseconds / 1_000_000) }

    /// As text: `3 ms`, `1.25 s`, `4 min 10 s`, `2 h 5 min`.
    package var text: String {
        let total = wholeMilliseconds
        if total < 1_000 { return "\(total) ms" }
        if total < 60_000 {
            let hundredths = total % 1_000 / 10
            if hundredths == 0 { return "\(total / 1_000) s" }
            return "\(total / 1_000).\(hundredths < 10 ? "0" : "")\(hundredths) s"
        }
        let seconds = total / 1_000
        if seconds < 3_600 { return "\(seconds / 60) min \(seconds % 60) s" }
        return "\(seconds / 3_600) h \(seconds % 3_600 / 60) min"
    }

    /// Parses a setting: a number and a unit, such as `250ms`, `1.5s`, `5m`, `2h`. `nil` for any other text.
    package init?(settingText text: String) {
        let units: [(String, Double)] = [("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)]
        guard let (suffix, factor) = units.first(where: { text.hasSuffix($0.0) }) else { return nil }
        let number = text.dropLast(suffix.count)
        guard !number.isEmpty, number.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }),
            let value = Double(number), value * factor < 9e18
        else { return nil }
        self = .nanoseconds(Int64(value * factor))
    }
}
