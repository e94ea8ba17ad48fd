internal import DispatchLoop
internal import HTTP1

// Bytes to the client.
extension Connection {
    /// Sends what has been collected for this connection.
    func flush() {
        guard !server.output.isEmpty else { return }
        if state.isBlocked {
            output.append(server.output)
            server.releaseOutput()
            return
        }
        let outcome = Socket.send(descriptor, server.output)
        switch outcome {
        case .bytes(let count) where count == server.output.count: break
        case .bytes(let count): block(after: count)
        case .wouldBlock: block(after: 0)
        case .failed:
            server.releaseOutput()
            return close(.reset)
        }
        server.releaseOutput()
    }

    /// Sends what waited for the end of the round.
    func send(_ answer: ArraySlice<UInt8>) {
        waitsForEndOfRound = false
        guard state.phase != .closed else { return }
        switch Socket.send(descriptor, answer) {
        case .bytes(let count) where count == answer.count: break
        case .bytes(let count):
            output.append(answer.dropFirst(count))
            outputIsBlocked()
        case .wouldBlock:
            output.append(answer)
            outputIsBlocked()
        case .failed: close(.reset)
        }
    }

    private func block(after sent: Int) {
        output.append(server.output[sent...])
        outputIsBlocked()
    }

    /// The kernel takes no more: hears when it does again.
    func outputIsBlocked() {
        state.outputBlocked(at: server.loop.now)
        server.evictable.remove(slot)
        if !wantsWrite, let registration {
            // Stays so: edge-triggered, it costs nothing more.
            wantsWrite = true
            server.loop.modify(registration, for: [.read, .write])
        }
    }

    func sendPending() {
        switch output.withBytes({ Socket.send(descriptor, $0) }) {
        case .bytes(let count):
            output.sent(count)
            if output.count == 0 {
                state.outputSent()
            } else {
                state.outputBlocked(at: server.loop.now)
            }
        case .wouldBlock: break
        case .failed: close(.reset)
        }
    }
}
