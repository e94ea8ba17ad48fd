/// What a machine's inputs want done, in order. The shell takes one action after the other and performs it; an input that
/// it gives meanwhile appends its own actions behind those that are left.
struct ActionQueue<Action: Sendable>: Sendable {
    private var actions: [Action] = []
    private var position = 0

    mutating func append(_ action: Action) { actions.append(action) }

    /// Takes the next action; `nil` when none is left.
    mutating func next() -> Action? {
        guard position < actions.count else {
            if position > 0 { actions.removeAll(keepingCapacity: true) }
            position = 0
            return nil
        }
        position += 1
        return actions[position - 1]
    }
}
