internal import DispatchLoop
internal import HTTP1
internal import HTTPTypes

// From requests to responses.
extension Connection {
    func respond(to request: consuming RequestHead) {
        if let identifier = server.requestIdentifier { request.id = identifier(request) }
        promoteIfPossible()
        guard !isOnReserve || server.responder.isHealthCheck(request) else {
            machine.close(after: .overloaded)
            return finish(server.overloaded, of: request, since: server.loop.now)
        }
        switch server.responder.respond(to: request) {
        case .now(let response):
            finish(response, of: request, since: server.loop.now)
        case .later(let operation):
            // The machine now sends the responses to earlier requests.
            activeRequest = request
            activeSince = server.loop.now
            server.evictable.remove(slot)
            task = server.loop.task { [self] in
                completed(await operation())
            }
        case .stream(let response, let start):
            startStream(response, of: request, start)
        }
    }

    private func completed(_ response: Response) {
        guard let request = activeRequest.take() else { return }
        task = nil
        guard !machine.isClosed else {
            let exchange = exchange(request, status: 0, bodyBytes: 0, since: activeSince)
            for observer in server.observers { observer.abandoned(exchange) }
            return
        }
        finish(response, of: request, since: activeSince)
        if machine.mayHoldBack, server.sendsAtEndOfRound(self) { return machine.holdBack() }
        resume()
    }

    private func finish(_ response: Response, of request: RequestHead, since: MonotonicTime) {
        if machine.hasNoBufferedBytes { checkForEOF() }
        let connection = machine.frame(
            answerTo: request, closes: response.closesConnection || isOnReserve)
        let bodyBytes = ResponseSerializer.append(
            response, isHead: request.method == .head, connection: connection, dateLine: server.dateLine(),
            requestID: request.id, to: &server.output)
        machine.answered(at: server.loop.now)
        server.answered += 1
        reportAnswer(to: request, status: response.status.code, bodyBytes: bodyBytes, since: since)
    }

    /// Collects the response to input that is not a valid request.
    func collect(refusal response: Response, _ error: HTTP1Error?) {
        let bodyBytes = ResponseSerializer.append(
            response, isHead: machine.isHeadMethod, connection: .closes, dateLine: server.dateLine(),
            to: &server.output)
        let rejected = RejectedRequest(error: error, status: response.status.code, bodyBytes: bodyBytes, peer: peer)
        for observer in server.observers { observer.refused(rejected) }
    }

    /// Reports an answered request, or the end of a stream, to the observers.
    func reportAnswer(
        to request: RequestHead, status: Int, bodyBytes: Int, since: MonotonicTime,
        abortReason: ConnectionCloseReason? = nil
    ) {
        guard !server.observers.isEmpty else { return }
        let exchange = exchange(
            request, status: status, bodyBytes: bodyBytes, since: since, abortReason: abortReason)
        for observer in server.observers { observer.answered(exchange) }
    }

    /// The observers' view of a request. Reads the clock, because one turn answers many requests in sequence.
    func exchange(
        _ request: RequestHead, status: Int, bodyBytes: Int, since: MonotonicTime,
        abortReason: ConnectionCloseReason? = nil
    ) -> Exchange {
        Exchange(
            request: request, status: status, bodyBytes: bodyBytes,
            nanoseconds: MonotonicTime.now().nanoseconds - since.nanoseconds, peer: peer, abortReason: abortReason)
    }
}
