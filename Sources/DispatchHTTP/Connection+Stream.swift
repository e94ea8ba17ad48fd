internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

// Answers that go on.
extension Connection {
    /// Sends the head, and hands the body to `start`.
    func startStream(_ response: Response, of request: RequestHead, _ start: @LoopActor (BodyStream) -> Void) {
        let isChunked = request.version == .http11
        var connection = persistence(after: response, to: request)
        if !isChunked, connection == .persistsForHTTP10 {
            // RFC 9112 §6.3 (8): the end of the connection is the end of the body.
            state.close(after: .answered)
            connection = .closes
        }
        ChunkedSerializer.appendHead(
            of: response, isChunked: isChunked, connection: connection, date: server.date(), requestID: request.id,
            to: &server.output)
        server.answered += 1
        guard request.method != .head, response.status.allowsBody else {
            state.answered(at: server.loop.now)
            if let observer = server.observer {
                observer.answered(
                    exchange(request, status: response.status.code, bodyBytes: 0, since: server.loop.now))
            }
            return
        }
        // What the kernel holds for a client that does not read is behind as well; by itself it would take megabytes.
        Socket.set(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(clamping: server.maxStreamBacklog))
        let stream = BodyStream(self, request: request, status: response.status.code, began: server.loop.now)
        self.stream = stream
        state.streams()
        server.evictable.remove(slot)
        if let observer = server.observer {
            observer.streamBegan(exchange(request, status: stream.status, bodyBytes: 0, since: stream.began))
        }
        flush()
        guard state.phase != .closed else { return }
        stream.send(response.body)
        start(stream)
        if server.isDraining { cutStream() }
    }

    /// Sends one piece of a stream.
    func send(_ bytes: [UInt8], of stream: BodyStream) {
        guard state.phase != .closed else { return }
        server.frame.removeAll(keepingCapacity: true)
        if stream.isChunked { ChunkedSerializer.appendChunkLine(bytes.count, to: &server.frame) }
        let frameEnd = stream.isChunked ? ChunkedSerializer.chunkEnd : []
        if state.isBlocked {
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

    /// The stream is complete, or was cut off while the connection can still say so.
    func streamEnded(_ stream: BodyStream, cutOff: CloseReason?) {
        guard self.stream === stream, state.phase != .closed else { return }
        reportStream(cutOff: cutOff)
        if stream.isChunked { sendLastChunk() }
        guard state.phase != .closed else { return }
        state.answered(at: server.loop.now)
        // Within the loop over requests, that goes on by itself. Otherwise not from here: whoever ended the stream may
        // be answering a request of another connection, and the buffers are in use.
        if !isProcessing { yieldTurn() }
    }

    private func sendLastChunk() {
        if state.isBlocked { return output.append(ChunkedSerializer.lastChunk) }
        switch Socket.send(descriptor, ChunkedSerializer.lastChunk) {
        case .bytes(let count) where count == ChunkedSerializer.lastChunk.count: break
        case .bytes(let count):
            output.append(ChunkedSerializer.lastChunk[count...])
            outputIsBlocked()
        case .wouldBlock:
            output.append(ChunkedSerializer.lastChunk)
            outputIsBlocked()
        case .failed: close(.reset)
        }
    }

    /// Ends the stream because the server leaves. A client that is behind is not waited for.
    func cutStream() {
        guard let stream else { return }
        if state.isBlocked { return close(.drained, aborting: true) }
        stream.close(.drained)
        state.close(after: .drained)
        streamEnded(stream, cutOff: .drained)
    }

    /// Tells the observer of the stream that runs, and forgets it.
    func reportStream(cutOff: CloseReason?) {
        guard let stream else { return }
        self.stream = nil
        if let observer = server.observer {
            observer.answered(
                exchange(
                    stream.request, status: stream.status, bodyBytes: stream.bodyBytes, since: stream.began,
                    cutOff: cutOff))
        }
    }
}
