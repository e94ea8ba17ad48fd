import HTTPTypes

/// Bytes in, requests out. Incremental: the same bytes give the same requests and the same error however they are cut.
///
/// ```
/// requestLine ──line──▶ fields ──empty line, no body──▶ delivered, requestLine
///                         └──empty line, body──▶ fixedBody ──all dropped──▶ delivered, requestLine
///                                            └─▶ chunkLine ⇄ chunk → chunkEnd
///                                                  └──size 0──▶ trailers ──empty line──▶ delivered, requestLine
/// any ──refused──▶ failed, for good
/// ```
///
/// Holds at every moment: no more than `limits.buffered` undelivered bytes are kept, and when `next()` needs more there
/// is `room` for more. Bodies are dropped as they come in.
public struct RequestParser: Sendable {
    /// What the bytes so far amount to.
    public enum Step: Sendable {
        /// Nothing more can be said before more bytes are appended.
        case needsMore
        /// The client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1). Comes at most once per
        /// request, and not when the body is already on its way. The request itself follows when its body has ended.
        case continueExpected
        /// A whole request; its body has been read and dropped.
        case request(RequestHead)
    }

    /// How far the request has come that has not been delivered.
    public enum Progress: Sendable, Equatable {
        /// Nothing of it is here.
        case idle
        /// A part of its head is here.
        case head
        /// Its head is here and its body is not.
        case body
    }

    private enum State: Sendable, Equatable {
        case requestLine
        case fields
        case fixedBody(remaining: Int)
        case chunkLine
        case chunk(remaining: Int)
        case chunkEnd
        case trailers
        case failed(HTTP1Error)
    }

    /// What a request may hold.
    public let limits: ParserLimits

    private var buffer: [UInt8] = []
    /// Where the first byte stands that belongs to no delivered request and no dropped body.
    private var start = 0
    /// Where the current line starts.
    private var line = 0
    /// Up to where the current line has been searched for its end.
    private var scanned = 0
    private var state = State.requestLine
    private var head = HeadBuilder()
    private var fieldsStart = 0
    /// The request whose body is being dropped.
    private var pending: RequestHead?
    /// Whether what was refused is the rest of a `HEAD`.
    private var rejectedHeadMethod = false
    private var offersContinue = false
    private var emptyLines = 0
    private var bodyBytes = 0
    private var extensionBytes = 0
    private var trailerBytes = 0
    private var trailerCount = 0

    /// A parser for one connection.
    public init(limits: ParserLimits = ParserLimits()) {
        self.limits = limits
    }

    /// How many bytes `append` takes now.
    public var room: Int { max(0, limits.buffered - (buffer.count - start)) }

    /// How many bytes are here that no delivered request has used.
    public var bufferedBytes: Int { buffer.count - start }

    /// How far the next request has come.
    public var progress: Progress {
        switch state {
        case .requestLine: start == buffer.count ? .idle : .head
        case .fields: .head
        case .failed: .idle
        case .fixedBody, .chunkLine, .chunk, .chunkEnd, .trailers: .body
        }
    }

    /// Whether the request that is being read, or was refused after its request line, is a `HEAD`: what is answered to
    /// it has no body (RFC 9110 §9.3.2).
    public var isHeadMethod: Bool {
        switch state {
        case .requestLine: false
        case .failed: rejectedHeadMethod
        case .fields, .fixedBody, .chunkLine, .chunk, .chunkEnd, .trailers: head.method == .head
        }
    }

    /// Appends what has been received, as much of it as there is `room` for.
    ///
    /// - Returns: How many bytes were taken. The caller keeps the rest until `next()` has made room.
    @discardableResult
    public mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        if case .failed = state { return bytes.count }
        makeSpace()
        let taken = min(bytes.count, room)
        buffer.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[..<taken]))
        return taken
    }

    /// Appends what has been received, as much of it as there is `room` for.
    ///
    /// - Returns: How many bytes were taken.
    @discardableResult
    public mutating func append(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBufferPointer { append($0) }
    }

    /// Appends what has been received, as much of it as there is `room` for.
    ///
    /// - Returns: How many bytes were taken.
    @discardableResult
    public mutating func append(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBufferPointer { append($0) }
    }

    /// Gives back the memory of bytes that have been used, unless it is so little that keeping it is cheaper.
    /// For connections that go idle.
    public mutating func shrink() {
        guard start == buffer.count else { return }
        makeSpace()
        if buffer.capacity > 1024 { buffer = [] }
    }

    /// Moves the undelivered bytes to the front once they are fewer than the used ones before them, so that each byte
    /// is moved once on average.
    private mutating func makeSpace() {
        guard start > 0, start >= buffer.count - start else { return }
        let distance = start
        if distance == buffer.count {
            buffer.removeAll(keepingCapacity: true)
        } else {
            buffer.removeSubrange(..<distance)
        }
        start = 0
        line -= distance
        scanned -= distance
        fieldsStart -= distance
        head.shift(by: -distance)
    }

    /// The next request, as far as the bytes go.
    ///
    /// - Throws: `HTTP1Error` when the bytes are refused; from then on with each call.
    public mutating func next() throws(HTTP1Error) -> Step {
        do throws(HTTP1Error) {
            // One reference for the whole call: a span of `buffer` itself would keep all of `self` from changing.
            let bytes = buffer
            while true {
                if let step = try advance(bytes.span) { return step }
            }
        } catch {
            rejectedHeadMethod = isHeadMethod
            state = .failed(error)
            buffer = []
            start = 0
            pending = nil
            throw error
        }
    }

    /// Goes on by one line or one piece of a body. `nil` when there may be more to do.
    private mutating func advance(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Step? {
        switch state {
        case .requestLine: return try readRequestLine(bytes)
        case .fields: return try readField(bytes)
        case .fixedBody(let remaining):
            let left = drop(remaining)
            state = .fixedBody(remaining: left)
            return left == 0 ? deliverPending() : waitForBody()
        case .chunkLine: return try readChunkLine(bytes)
        case .chunk(let remaining):
            let left = drop(remaining)
            state = left == 0 ? .chunkEnd : .chunk(remaining: left)
            return left == 0 ? nil : waitForBody()
        case .chunkEnd: return try readChunkEnd(bytes)
        case .trailers: return try readTrailer(bytes)
        case .failed(let error): throw error
        }
    }

    // MARK: Head

    private mutating func readRequestLine(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Step? {
        // What cannot start a method is refused at once: a TLS greeting may hold no line end to wait for.
        if line < bytes.count, !bytes[line].isToken, bytes[line] != .cr, bytes[line] != .lf {
            throw .malformedMethod
        }
        guard let range = try nextRequestLine(bytes) else { return .needsMore }
        guard !range.isEmpty else {
            // RFC 9112 §2.2: an empty line before the request line is ignored.
            emptyLines += 1
            guard emptyLines <= ParserLimits.emptyLines else { throw .tooManyEmptyLines }
            start = line
            return nil
        }
        emptyLines = 0
        head = HeadBuilder()
        try head.readRequestLine(bytes, range)
        fieldsStart = line
        state = .fields
        return nil
    }

    private mutating func readField(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Step? {
        let left = limits.fieldBytes - (line - fieldsStart)
        guard let range = try nextLine(bytes, limit: max(0, left - 2), .fieldsTooLarge) else { return .needsMore }
        guard range.isEmpty else {
            try head.readField(bytes, range, limit: limits.fieldCount)
            return nil
        }
        return try finishHead(fieldLines: fieldsStart..<range.lowerBound)
    }

    private mutating func finishHead(fieldLines: Range<Int>) throws(HTTP1Error) -> Step? {
        try head.finish()
        guard var target = head.target else { throw .malformedRequestLine }
        switch head.length {
        case .none, .fixed(0):
            let request = RequestHead(head, target: target, bytes: buffer, fieldLines: fieldLines)
            start = line
            state = .requestLine
            return .request(request)
        case .fixed(let length):
            // RFC 9110 §15.5.14: said before the body is sent, when the client waits to be told.
            guard length <= limits.body else { throw .bodyTooLarge }
            state = .fixedBody(remaining: length)
        case .chunked:
            state = .chunkLine
        }
        // The body passes through the buffer, so the head moves out of it.
        target.shift(by: -start)
        pending = RequestHead(
            head, target: target, bytes: Array(buffer[start..<line]),
            fieldLines: (fieldLines.lowerBound - start)..<(fieldLines.upperBound - start))
        offersContinue = head.expectsContinue
        start = line
        bodyBytes = 0
        extensionBytes = 0
        trailerBytes = 0
        trailerCount = 0
        return nil
    }

    // MARK: Body

    /// Drops up to `count` bytes and says how many are still to come.
    private mutating func drop(_ count: Int) -> Int {
        let dropped = min(count, buffer.count - start)
        start += dropped
        line = start
        scanned = start
        if dropped > 0 { offersContinue = false }
        return count - dropped
    }

    private mutating func waitForBody() -> Step {
        guard offersContinue, start == buffer.count else { return .needsMore }
        offersContinue = false
        return .continueExpected
    }

    private mutating func deliverPending() -> Step? {
        state = .requestLine
        defer { pending = nil }
        return pending.map { .request($0) }
    }

    /// `chunk-size [ chunk-ext ] CRLF`, RFC 9112 §7.1.
    private mutating func readChunkLine(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Step? {
        guard let range = try nextLine(bytes, limit: ParserLimits.chunkLine, .chunkLineTooLong) else {
            return waitForBody()
        }
        offersContinue = false
        start = line
        var size = 0
        var end = range.lowerBound
        while end < range.upperBound, let digit = bytes[end].hexValue {
            // 15 digits always fit an Int, and no sensible chunk needs more.
            guard end - range.lowerBound < 15 else { throw .malformedChunkSize }
            size = size << 4 | Int(digit)
            end += 1
        }
        guard end > range.lowerBound else { throw .malformedChunkSize }
        if end < range.upperBound {
            guard ChunkExtensions.areValid(bytes, end..<range.upperBound) else { throw .malformedChunkExtension }
            extensionBytes += range.upperBound - end
            guard extensionBytes <= ParserLimits.chunkExtensions else { throw .chunkLineTooLong }
        }
        guard size <= limits.body - bodyBytes else { throw .bodyTooLarge }
        bodyBytes += size
        state = size == 0 ? .trailers : .chunk(remaining: size)
        return nil
    }

    private mutating func readChunkEnd(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Step? {
        let available = buffer.count - start
        if available > 0, bytes[start] != .cr { throw .malformedChunkEnd }
        if available > 1, bytes[start + 1] != .lf { throw .malformedChunkEnd }
        guard available > 1 else { return .needsMore }
        _ = drop(2)
        state = .chunkLine
        return nil
    }

    /// RFC 9112 §7.1.2: trailer fields have to be fields; they are dropped and never merged into the head.
    private mutating func readTrailer(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Step? {
        let left = limits.fieldBytes - trailerBytes
        guard let range = try nextLine(bytes, limit: max(0, left - 2), .fieldsTooLarge) else { return .needsMore }
        start = line
        guard !range.isEmpty else { return deliverPending() }
        trailerBytes += range.count + 2
        trailerCount += 1
        guard trailerCount <= limits.fieldCount else { throw .tooManyFields }
        _ = try FieldLine.split(bytes, range)
        return nil
    }

    // MARK: Lines

    private mutating func nextRequestLine(_ bytes: Span<UInt8>) throws(HTTP1Error) -> Range<Int>? {
        do throws(HTTP1Error) {
            return try nextLine(bytes, limit: limits.requestLine, .requestLineTooLong)
        } catch .requestLineTooLong {
            // RFC 9112 §3: 501 when it is the method that is too long, 414 when it is the target.
            let window = line..<(line + limits.requestLine + 2)
            throw bytes.firstIndex(of: .space, in: window) == window.upperBound ? .methodTooLong : .requestLineTooLong
        }
    }

    /// The next line without its end, or `nil` when it has not ended yet. Moves `line` behind it.
    ///
    /// Whether it is too long depends on its first `limit + 2` bytes only, and on no cut between them.
    private mutating func nextLine(
        _ bytes: Span<UInt8>, limit: Int, _ tooLong: HTTP1Error
    ) throws(HTTP1Error) -> Range<Int>? {
        let end = min(bytes.count, line + limit + 2)
        let index = bytes.firstIndex(of: .lf, in: min(scanned, end)..<end)
        guard index < end else {
            guard end < line + limit + 2 else { throw tooLong }
            scanned = end
            return nil
        }
        // RFC 9112 §2.2: a line ends in CRLF.
        guard index > line, bytes[index - 1] == .cr else { throw .bareLineFeed }
        let range = line..<(index - 1)
        line = index + 1
        scanned = line
        return range
    }
}
