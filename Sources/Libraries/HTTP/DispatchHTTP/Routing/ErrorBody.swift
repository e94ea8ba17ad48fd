public import HTTP1
public import HTTPTypes

/// Errors as JSON: `{"status": false, "error": {"message": …}}`, pretty-printed with two spaces.
public enum ErrorBody {
    /// An error answer, with `Cache-Control: no-store`. By default caches may keep 404, 405, 410, 414 and 501 (RFC 9110
    /// §15.1), and serve them after the path has got a handler.
    ///
    /// - Parameters:
    ///   - status: The status.
    ///   - message: One sentence for the reader. Escaped here.
    ///   - fields: Further fields.
    public static func response(
        _ status: HTTPResponse.Status, _ message: String, fields: HTTPFields = [:]
    ) -> Response {
        var fields = fields
        if fields[.cacheControl] == nil { fields[.cacheControl] = "no-store" }
        return Response(
            status: status,
            text: """
                {
                  "status": false,
                  "error": {
                    "message": "\(escaped(message))"
                  }
                }
                """,
            contentType: "application/json; charset=utf-8", fields: fields)
    }

    /// `text` as it may stand in a JSON string, RFC 8259 §7.
    public static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
