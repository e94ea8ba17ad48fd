package import DispatchLoop

/// State shared by all attempts of one configuration: which address worked last, how long each usually takes, and which
/// have an unanswered connect in flight.
@LoopActor
package final class ServerMemory {
    var book: AddressBook

    /// `seed` determines the order of `load_balance_hosts=random`.
    package nonisolated init(seed: UInt64 = .random(in: 0 ... .max)) { book = AddressBook(seed: seed) }
}
