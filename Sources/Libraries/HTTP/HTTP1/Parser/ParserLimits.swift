/// How much of everything a request may hold. The defaults are those of nginx and Go, roughly.
public struct ParserLimits: Sendable, Equatable {
    /// The longest request line in bytes, without its line end. Longer ones are answered with 414.
    public var requestLine: Int
    /// The most bytes in all field lines together, line ends included. More are answered with 431.
    /// Trailer fields have an allowance of the same size.
    public var fieldBytes: Int
    /// The most field lines. More are answered with 431.
    public var fieldCount: Int
    /// The longest body in bytes, after the chunked coding has been removed. Longer ones are answered with 413.
    public var body: Int

    /// The longest line that starts a chunk: its size and its extensions.
    static var chunkLine: Int { 256 }
    /// The most bytes of chunk extensions in one body. Without it, one byte of content can cost 250 bytes of reading.
    static var chunkExtensions: Int { 4096 }
    /// The most empty lines skipped before a request line.
    static var emptyLines: Int { 4 }

    /// Limits, each with its default.
    public init(requestLine: Int = 8192, fieldBytes: Int = 16384, fieldCount: Int = 100, body: Int = 1_048_576) {
        self.requestLine = requestLine
        self.fieldBytes = fieldBytes
        self.fieldCount = fieldCount
        self.body = body
    }

    /// The most bytes a parser keeps that it has not delivered: the largest head, and a little more.
    public var buffered: Int { requestLine + fieldBytes + 1024 }
}
