/// What somebody may have meant who mistyped a name.
enum NearestMatch {
    /// The name that `typed` differs from least; nil when it looks like none of them.
    static func of(_ typed: String, among names: [String]) -> String? {
        let distances = names.map { ($0, distance(Array(typed.utf8), Array($0.utf8))) }
        guard let (name, distance) = distances.min(by: { $0.1 < $1.1 }) else { return nil }
        return distance <= min(3, typed.utf8.count / 2) ? name : nil
    }

    /// How many bytes have to be inserted, deleted, replaced or swapped with their neighbour to make one of the other
    /// (the optimal string alignment distance).
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        // Row i holds the distances of left's first i bytes from all beginnings of right.
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for i in left.indices {
            var row = [i + 1]
            for j in right.indices {
                var least = min(last[j + 1] + 1, row[j] + 1, last[j] + (left[i] == right[j] ? 0 : 1))
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    least = min(least, beforeLast[j - 1] + 1)
                }
                row.append(least)
            }
            beforeLast = last
            last = row
        }
        return last[right.count]
    }
}
