/// The size limits of a request. The defaults are roughly those of nginx and Go.
public struct ParserLimits: Sendable, Equatable {
    /// The longest request line in bytes, without its line end. A longer one gets 414.
    public var requestLine: Int
    /// The most bytes of all field lines together, line ends included. More get 431. Trailer fields have the same
    /// limit, counted separately.
    public var fieldBytes: Int
    /// The most field lines. More get 431.
    public var fieldCount: Int
    /// The longest body in bytes, without the chunked coding. A longer one gets 413.
    public var body: Int

    /// The longest chunk line: size and extensions.
    static var chunkLine: Int { 256 }
    /// The most bytes of chunk extensions in one body. Without this limit one byte of content can cost 250 bytes of
    /// input.
    static var chunkExtensions: Int { 4096 }
    /// The most empty lines before a request line.
    static var emptyLines: Int { 4 }

    /// Creates limits.
    public init(requestLine: Int = 8192, fieldBytes: Int = 16384, fieldCount: Int = 100, body: Int = 1_048_576) {
        self.requestLine = requestLine
        self.fieldBytes = fieldBytes
        self.fieldCount = fieldCount
        self.body = body
    }

    /// The most undelivered bytes that a parser keeps: the largest head, and a little more.
    package var buffered: Int { requestLine + fieldBytes + 1024 }
}
