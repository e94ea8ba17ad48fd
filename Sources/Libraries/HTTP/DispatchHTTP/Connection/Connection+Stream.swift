internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

// Streaming responses.
extension Connection {
    /// Sends the head and passes the stream to `start`.
    func startStream(_ response: Response, of request: RequestHead, _ start: @LoopActor (BodyStream) -> Void) {
        if machine.hasNoBufferedBytes { checkForEOF() }
        let (connection, isChunked) = machine.frame(
            streamTo: request, closes: response.closesConnection || isOnReserve)
        ChunkedSerializer.appendHead(
            of: response, isChunked: isChunked, connection: connection, dateLine: server.dateLine(),
            requestID: request.id, to: &server.output)
        server.answered += 1
        guard request.method != .head, response.status.allowsBody else {
            machine.answered(at: server.loop.now)
            return reportAnswer(to: request, status: response.status.code, bodyBytes: 0, since: server.loop.now)
        }
        // Bounds the kernel's part of the backlog too, which by default grows to megabytes.
        Socket.set(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(clamping: server.maxStreamBacklog))
        // A client that vanishes silently never closes; the kernel closes its connection after this time.
        Socket.watchPeer(descriptor, for: server.configuration.timeouts.writeStall)
        let stream = BodyStream(self, request: request, status: response.status.code, began: server.loop.now)
        self.stream = stream
        machine.streams()
        server.evictable.remove(slot)
        let exchange = exchange(request, status: stream.status, bodyBytes: 0, since: stream.began)
        for observer in server.observers { observer.streamBegan(exchange) }
        flush()
        guard !machine.isClosed else { return }
        stream.send(response.body)
        start(stream)
        if server.hasLeft { endStream() }
    }

    /// Sends one piece of a stream.
    func send(_ bytes: [UInt8], of stream: BodyStream) {
        guard !machine.isClosed else { return }
        server.frame.removeAll(keepingCapacity: true)
        if stream.isChunked { ChunkedSerializer.appendChunkLine(bytes.count, to: &server.frame) }
        let frameEnd = stream.isChunked ? ChunkedSerializer.chunkEnd : []
        if machine.state.isBlocked {
            let size = server.frame.count + bytes.count + frameEnd.count
            guard output.count + size <= server.maxStreamBacklog else { return close(.streamOverflow, aborting: true) }
            output.append(server.frame)
            output.append(bytes)
            output.append(frameEnd)
            return
        }
        let outcome = server.frame.withUnsafeBufferPointer { first in
            bytes.withUnsafeBufferPointer { second in
                frameEnd.withUnsafeBufferPointer { Socket.send(descriptor, first, second, $0) }
            }
        }
        var sent = 0
        switch outcome {
        case .bytes(let count) where count == server.frame.count + bytes.count + frameEnd.count: return
        case .bytes(let count): sent = count
        case .wouldBlock: break
        case .failed: return close(.reset)
        }
        for piece in [server.frame, bytes, frameEnd] {
            if sent < piece.count { output.append(piece[sent...]) }
            sent = max(0, sent - piece.count)
        }
        outputIsBlocked()
        armTimer()
    }

    /// Finishes the body of a stream that is complete, or ends early while the connection still works.
    func streamEnded(_ stream: BodyStream, abortReason: ConnectionCloseReason?) {
        guard self.stream === stream, !machine.isClosed else { return }
        reportStream(abortReason: abortReason)
        if stream.isChunked { sendLastChunk() }
        guard !machine.isClosed else { return }
        machine.answered(at: server.loop.now)
        // Within `act` the connection continues anyway. Otherwise it continues later, because `end` may be called
        // within another connection's event, which uses the shared buffers.
        if !isActing { yieldTurn() }
    }

    private func sendLastChunk() {
        if machine.state.isBlocked { return output.append(ChunkedSerializer.lastChunk) }
        _ = write(ChunkedSerializer.lastChunk[...])
    }

    /// Ends the stream because the server shuts down. Does not wait for a client that is behind.
    func endStream() {
        guard let stream else { return }
        if machine.state.isBlocked { return close(.drained, aborting: true) }
        stream.close(.drained)
        machine.close(after: .drained)
        streamEnded(stream, abortReason: .drained)
    }

    /// Reports the running stream to the observers and releases it.
    func reportStream(abortReason: ConnectionCloseReason?) {
        guard let stream else { return }
        self.stream = nil
        reportAnswer(
            to: stream.request, status: stream.status, bodyBytes: stream.bodyBytes, since: stream.began,
            abortReason: abortReason)
    }
}
