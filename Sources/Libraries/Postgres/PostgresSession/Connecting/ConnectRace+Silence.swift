import DispatchLoop

/// Addresses that do not answer, and servers that accept and send nothing.
extension ConnectRace {
    /// Whether only connects to silent addresses remain while another address has refused: the refusing address may
    /// accept a moment later, and only a new attempt tries it again.
    func isHopeless(at now: MonotonicTime, _ book: AddressBook) -> Bool {
        hasBeenAnswered && pending.isEmpty && choose(at: now, book) == nil
            && openSockets.allSatisfy { socket in
                let target = target(of: socket)
                guard now - socket.openedAt >= AddressBook.synLife, !socket.hasReply else { return false }
                return socket.acceptedAt == nil
                    ? book.isSilent(target)
                    : book.isMute(target) && book.hasOlderUnanswered(target, than: socket.openedAt)
            }
    }

    /// Tells the book of servers that have accepted, and sent nothing for a full turn.
    func noteMute(at now: MonotonicTime, _ book: inout AddressBook) {
        guard candidates.count > 1 else { return }
        for socket in openSockets where socket.acceptedAt != nil && !socket.hasReply && socket.fullTurnEnd <= now {
            book.fellSilent(target(of: socket))
        }
    }

    /// Whether the socket's address accepts and sends nothing while others answer. Its accepts say nothing then.
    func isMuteBesideOthers(_ id: SocketID, _ book: AddressBook) -> Bool {
        guard hasBeenAnswered, let socket = openSockets.first(where: { $0.id == id }) else { return false }
        return book.isMute(target(of: socket))
    }
}
