import HTTPTypes

/// An incremental parser: the same bytes give the same requests and the same error, however they are split.
///
/// ```
/// requestLine ──line──▶ fields ──empty line, no body──▶ delivered, requestLine
///                         └──empty line, body──▶ fixedBody ──all dropped──▶ delivered, requestLine
///                                            └─▶ chunkLine ⇄ chunk → chunkEnd
///                                                  └──size 0──▶ trailers ──empty line──▶ delivered, requestLine
/// any ──rejected──▶ failed, which is final
/// ```
///
/// Invariants: the parser keeps at most `limits.buffered` undelivered bytes, and has `room` for more when `next()`
/// needs more. It drops bodies as they arrive.
public struct RequestParser: Sendable {
    /// The result of `next()`.
    public enum Step: Sendable {
        /// The next request is incomplete.
        case needsMore
        /// The client waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1). At most once per request,
        /// and not after the first byte of the body. The request itself follows after its body.
        case continueExpected
        /// A whole request, whose body has been dropped.
        case request(RequestHead)
    }

    /// The progress of the undelivered request.
    public enum Progress: Sendable, Equatable {
        /// No byte has arrived.
        case idle
        /// A part of the head has arrived.
        case head
        /// The head has arrived; the body is incomplete.
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

    /// The size limits of a request.
    public let limits: ParserLimits

    private var buffer: [UInt8] = []
    /// The first byte that belongs to no delivered request and no dropped body.
    private var start = 0
    /// The start of the current line.
    private var line = 0
    /// The end of the part of the current line that has been searched for its end.
    private var scanned = 0
    private var state = State.requestLine
    private var head = HeadBuilder()
    private var fieldsStart = 0
    /// The request whose body is arriving.
    private var pending: RequestHead?
    /// Whether the rejected request is a `HEAD`.
    private var rejectedHeadMethod = false
    private var offersContinue = false
    private var emptyLines = 0
    private var bodyBytes = 0
    private var extensionBytes = 0
    private var trailerBytes = 0
    private var trailerCount = 0

    /// Creates a parser for one connection.
    public init(limits: ParserLimits = ParserLimits()) {
        self.limits = limits
    }

    /// The number of bytes that `append` takes now.
    public var room: Int { max(0, limits.buffered - (buffer.count - start)) }

    /// The number of bytes that belong to no delivered request.
    public var bufferedBytes: Int { buffer.count - start }

    /// The progress of the next request.
    public var progress: Progress {
        switch state {
        case .requestLine: start == buffer.count ? .idle : .head
        case .fields: .head
        case .failed: .idle
        case .fixedBody, .chunkLine, .chunk, .chunkEnd, .trailers: .body
        }
    }

    /// Whether the incomplete request, or the one rejected after its request line, is a `HEAD`, whose response has no
    /// body (RFC 9110 §9.3.2).
    public var isHeadMethod: Bool {
        switch state {
        case .requestLine: false
        case .failed: rejectedHeadMethod
        case .fields, .fixedBody, .chunkLine, .chunk, .chunkEnd, .trailers: head.method == .head
        }
    }

    /// Appends received bytes, up to `room`.
    ///
    /// - Returns: The number of appended bytes. The caller keeps the rest until `next()` has made room.
    @discardableResult
    public mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        if case .failed = state { return bytes.count }
        makeSpace()
        let taken = min(bytes.count, room)
        buffer.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[..<taken]))
        return taken
    }

    /// Appends received bytes in the same way.
    @discardableResult
    public mutating func append(_ bytes: [UInt8]) -> Int {
        bytes.withUnsafeBufferPointer { append($0) }
    }

    /// Appends received bytes in the same way.
    @discardableResult
    public mutating func append(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBufferPointer { append($0) }
    }

    /// Frees the buffer of an idle connection, unless it is so small that keeping it is cheaper.
    public mutating func shrink() {
        guard start == buffer.count else { return }
        makeSpace()
        if buffer.capacity > 1024 { buffer = [] }
    }

    /// Moves the undelivered bytes to the front once they are fewer than the used ones, so each byte moves once on
    /// average.
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

    /// Parses the next request.
    ///
    /// - Throws: `HTTP1Error` if the bytes are not a request; then each further call throws it again.
    public mutating func next() throws(HTTP1Error) -> Step {
        do throws(HTTP1Error) {
            // A second reference to the buffer: a span of `buffer` itself would forbid changing `self`.
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

    /// Parses one line or one piece of a body. `nil` if there may be more to do.
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
        // Rejected at once if it cannot start a method: a TLS greeting may never contain a line end.
        if line < bytes.count, !bytes[line].isToken, bytes[line] != .cr, bytes[line] != .lf {
            throw .malformedMethod
        }
        guard let range = try nextRequestLine(bytes) else { return .needsMore }
        guard !range.isEmpty else {
            // RFC 9112 §2.2: a server ignores an empty line before the request line.
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
            // RFC 9110 §15.5.14: rejected before a client that expects 100 sends the body.
            guard length <= limits.body else { throw .bodyTooLarge }
            state = .fixedBody(remaining: length)
        case .chunked:
            state = .chunkLine
        }
        // The body passes through the buffer, so the head gets its own bytes.
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

    /// Drops up to `count` bytes and returns how many are missing.
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
            // 15 digits always fit an Int, and no reasonable chunk needs more.
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

    /// RFC 9112 §7.1.2. Checks trailer fields and drops them; never merges them into the head.
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
            // RFC 9112 §3: 501 if the method is too long, 414 if the target is.
            let window = line..<(line + limits.requestLine + 2)
            throw bytes.firstIndex(of: .space, in: window) == window.upperBound ? .methodTooLong : .requestLineTooLong
        }
    }

    /// The next line without its end, or `nil` if it is incomplete. Moves `line` behind it.
    ///
    /// Whether the line is too long depends only on its first `limit + 2` bytes, not on how they were split.
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
