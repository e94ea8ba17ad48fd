public import HTTPTypes

/// What is answered: a status, fields and a body.
///
/// `Date`, `Content-Length`, `Connection` and `Transfer-Encoding` belong to the server, which sets them itself; here
/// they are ignored.
public struct Response: Sendable {
    /// The status.
    public var status: HTTPResponse.Status { didSet { prefix = nil } }
    /// The fields, without those that the server sets.
    public var fields: HTTPFields { didSet { prefix = nil } }
    /// The body.
    public var body: [UInt8] { didSet { prefix = nil } }
    /// Whether the connection is closed after this answer.
    public var closesConnection = false

    /// Status line and fields as they go out, when they have been prepared.
    private(set) var prefix: [UInt8]?

    /// An answer.
    public init(status: HTTPResponse.Status, fields: HTTPFields = [:], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// An answer whose body is text.
    ///
    /// - Parameters:
    ///   - status: The status.
    ///   - text: The body.
    ///   - contentType: The media type.
    ///   - fields: Further fields.
    public init(status: HTTPResponse.Status, text: String, contentType: String, fields: HTTPFields = [:]) {
        self.init(status: status, fields: fields, body: Array(text.utf8))
        self.fields[.contentType] = contentType
    }

    /// The same answer with its constant part serialized once. An answer that is given again and again costs little
    /// more than copying its bytes. A later change of it undoes the preparation.
    public func prepared() -> Response {
        var copy = self
        var bytes: [UInt8] = []
        ResponseSerializer.appendPrefix(of: self, to: &bytes)
        copy.prefix = bytes
        return copy
    }
}
