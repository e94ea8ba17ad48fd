import HTTP1
import HTTPTypes

/// Errors as JSON: `{"status": false, "error": {"message": …}}`, pretty-printed with two spaces.
enum ErrorBody {
    /// An error response, with `Cache-Control: no-store`. By default caches may keep 404, 405, 410, 414 and 501 (RFC
    /// 9110 §15.1), and would serve them even after the path has gained a handler.
    ///
    /// - Parameters:
    ///   - status: The status.
    ///   - message: One sentence for the reader.
    ///   - fields: Further fields.
    @Sendable
    static func response(_ status: HTTPResponse.Status, _ message: String, fields: HTTPFields = [:]) -> Response {
        var fields = fields
        if fields[.cacheControl] == nil { fields[.cacheControl] = "no-store" }
        return Response(
            status: status,
            text: """
                {
                  "status": false,
                  "error": {
                    "message": "\(JSONText.escaped(message))"
                  }
                }
                """,
            contentType: "application/json; charset=utf-8", fields: fields)
    }
}
