import HTTP1
import HTTPTypes

extension Response {
    /// A response with a JSON body. Caches must not store it.
    static func json(_ status: HTTPResponse.Status, _ value: JSONValue) -> Response {
        Response(
            status: status,
            fields: [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"],
            body: value.bytes())
    }
}
