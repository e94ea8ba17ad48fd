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
        } else if write(server.output[...]) {
            machine.wrote(all: true, at: server.loop.now)
        }
        server.releaseOutput()
    }

    /// Sends a response that was held back until the end of the round.
    func send(_ answer: ArraySlice<UInt8>) {
        machine.sendsNow()
        if !machine.isClosed { _ = write(answer) }
    }

    /// Sends what the kernel takes, and queues the rest. Returns whether the kernel took everything.
    func write(_ bytes: ArraySlice<UInt8>) -> Bool {
        switch Socket.send(descriptor, bytes) {
        case .bytes(let count) where count == bytes.count: return true
        case .bytes(let count): keep(bytes.dropFirst(count))
        case .wouldBlock: keep(bytes)
        case .failed: close(.reset)
        }
        return false
    }

    private func keep(_ rest: ArraySlice<UInt8>) {
        output.append(rest)
        outputIsBlocked()
    }

    /// Registers for the next writable event.
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
