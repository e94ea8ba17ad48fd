internal import DispatchLoop
internal import HTTP1

// Bytes to the client.
extension Connection {
    /// Sends the collected output.
    func flush() {
        guard !server.output.isEmpty else { return machine.queued() }
        if machine.state.isBlocked {
            output.append(server.output)
            machine.queued()
        } else {
            switch Socket.send(descriptor, server.output) {
            case .bytes(let count) where count == server.output.count: machine.wrote(all: true, at: server.loop.now)
            case .bytes(let count): keep(server.output[count...])
            case .wouldBlock: keep(server.output[...])
            case .failed: close(.reset)
            }
        }
        server.releaseOutput()
    }

    /// Sends a response that was held back until the end of the round.
    func send(_ answer: ArraySlice<UInt8>) {
        machine.sendsNow()
        guard !machine.isClosed else { return }
        switch Socket.send(descriptor, answer) {
        case .bytes(let count) where count == answer.count: break
        case .bytes(let count): keep(answer.dropFirst(count))
        case .wouldBlock: keep(answer)
        case .failed: close(.reset)
        }
    }

    /// Queues output that the kernel did not take, and registers for its next writable event.
    func keep(_ rest: ArraySlice<UInt8>) {
        output.append(rest)
        outputIsBlocked()
    }

    func outputIsBlocked() {
        machine.wrote(all: false, at: server.loop.now)
        server.evictable.remove(slot)
        if !wantsWrite, let registration {
            // Never removed: with edge triggering it is free.
            wantsWrite = true
            server.loop.modify(registration, for: [.read, .write])
        }
    }

    func sendPending() {
        switch output.withBytes({ Socket.send(descriptor, $0) }) {
        case .bytes(let count):
            output.sent(count)
            machine.wrote(all: output.count == 0, at: server.loop.now)
        case .wouldBlock: break
        case .failed: close(.reset)
        }
    }
}
