public import HTTPTypes

/// A response: a status, fields and a body.
///
/// The server sets `Date`, `Content-Length`, `Connection` and `Transfer-Encoding` itself and ignores them here.
public struct Response: Sendable {
    /// The status.
    public var status: HTTPResponse.Status { didSet { prefix = nil } }
    /// The fields, apart from those that the server sets.
    public var fields: HTTPFields { didSet { prefix = nil } }
    /// The body.
    public var body: [UInt8] { didSet { prefix = nil } }
    /// Whether the server closes the connection after this response.
    public var closesConnection = false

    /// The serialized status line and fields, if prepared.
    private(set) var prefix: [UInt8]?

    /// A response.
    public init(status: HTTPResponse.Status, fields: HTTPFields = [:], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// A response with a text body.
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

    /// The same response with its constant part serialized once, so that a repeated response costs little more than a
    /// copy of its bytes. A later change undoes the preparation.
    public func prepared() -> Response {
        var copy = self
        var bytes: [UInt8] = []
        ResponseSerializer.appendPrefix(of: self, to: &bytes)
        copy.prefix = bytes
        return copy
    }
}
