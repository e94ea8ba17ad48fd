public import HTTP1
public import HTTPTypes

/// Makes the response to an error from its status, one sentence for the reader, and further fields.
///
/// The response should say `Cache-Control: no-store`: by default caches may keep 404, 405, 410, 414 and 501 (RFC 9110
/// §15.1), and would still serve them once the path has a handler.
public typealias ErrorResponse = @Sendable (HTTPResponse.Status, String, HTTPFields) -> Response

extension Response {
    /// An error as plain text, with `Cache-Control: no-store`.
    @Sendable
    public static func plainTextError(
        _ status: HTTPResponse.Status, _ message: String, _ fields: HTTPFields
    ) -> Response {
        var fields = fields
        if fields[.cacheControl] == nil { fields[.cacheControl] = "no-store" }
        return Response(
            status: status, text: message + "\n", contentType: "text/plain; charset=utf-8", fields: fields)
    }
}
