package import DispatchLoop

/// What all attempts of one pool know together: which address worked last, how long each usually takes, and where a
/// connect is under way that nobody has answered. One for each configuration.
@LoopActor
package final class ServerMemory {
    var book: AddressBook

    /// `seed` is for `load_balance_hosts=random`.
    package nonisolated init(seed: UInt64 = .random(in: 0 ... .max)) { book = AddressBook(seed: seed) }
}
