internal import DispatchLoop
internal import DispatchPostgres
internal import HTTP1
internal import HTTPTypes

/// The page: `status.html` with placeholders for the current state, so that it works without its script too.
struct StatusPage: Sendable {
    private enum Part: Sendable {
        case bytes([UInt8])
        case placeholder(String)
    }

    private let parts: [Part]

    /// The page may load its own script, style and events, and nothing else.
    private static let policy = """
        default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
        form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'
        """

    /// The compiled-in page.
    static let standard = StatusPage(html: PackageResources.status_html)
    static let style = file(PackageResources.status_css, type: "text/css; charset=utf-8")
    static let script = file(PackageResources.status_js, type: "text/javascript; charset=utf-8")

    private static func file(_ body: [UInt8], type: String) -> Response {
        // Not cached: after an upgrade a cached script would not match the page.
        Response(
            status: .ok, fields: [.contentType: type, .cacheControl: "no-store", .xContentTypeOptions: "nosniff"],
            body: body)
    }

    init(html: [UInt8]) {
        var parts: [Part] = []
        var rest = String(decoding: html, as: UTF8.self)[...]
        while let open = rest.firstRange(of: "{{"), let close = rest[open.upperBound...].firstRange(of: "}}") {
            parts.append(.bytes(Array(rest[..<open.lowerBound].utf8)))
            parts.append(.placeholder(String(rest[open.upperBound..<close.lowerBound])))
            rest = rest[close.upperBound...]
        }
        parts.append(.bytes(Array(rest.utf8)))
        self.parts = parts
    }

    /// The names of the placeholders.
    var placeholders: [String] {
        parts.compactMap { part in
            if case .placeholder(let name) = part { name } else { nil }
        }
    }

    func response(_ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory) -> Response {
        let values = Self.values(report, clock, history)
        var body: [UInt8] = []
        for part in parts {
            switch part {
            case .bytes(let bytes): body += bytes
            case .placeholder(let name): body += Array((values[name] ?? "").utf8)
            }
        }
        var fields: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store", .contentSecurityPolicy: Self.policy,
            .xContentTypeOptions: "nosniff",
        ]
        if let name = HTTPField.Name("Referrer-Policy") { fields[name] = "no-referrer" }
        return Response(status: .ok, fields: fields, body: body)
    }

    /// The HTML for the placeholders, with all foreign text escaped.
    static func values(
        _ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory
    ) -> [String: String] {
        let cause = report.cause
        let now = clock.sinceStart
        let outages = ([currentOutage(report, now)] + history.outages.map { row($0, now) }).joined()
        return [
            "version": escaped(BuildInfo.version), "health": report.health.rawValue,
            "headline": escaped(report.headline), "note": escaped(report.note),
            "causeHidden": hidden(cause == nil), "causeCode": escaped(cause?.code ?? ""),
            "causeText": escaped(cause?.message ?? ""), "outageHidden": hidden(cause == nil),
            "attempts": "\(cause?.failedAttempts ?? 0)",
            "next": clock.nextAttempt.map { "in \($0.text)" } ?? "when needed",
            "sinceLabel": report.sinceLabel, "since": (now - report.since).text, "falls": report.outageCountText,
            "poolSummary": escaped(report.poolSummary), "slots": slots(report.slots),
            "outages": outages, "outagesHidden": hidden(outages.isEmpty),
            "noOutageHidden": hidden(!outages.isEmpty), "bridged": masked(history.masked, now),
            "uptime": now.text,
        ]
    }

    private static func hidden(_ isHidden: Bool) -> String { isHidden ? " hidden" : "" }

    private static func slots(_ slots: [SlotState]) -> String {
        slots.prefix(StatusReport.slotsShown).map { state in
            """
            <li class="s-\(state.rawValue)"><svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">\
            <use href="#mini"/></svg><span>\(state.word)</span></li>
            """
        }.joined()
    }

    /// The row of the current outage, the first of the table.
    private static func currentOutage(_ report: StatusReport, _ now: Duration) -> String {
        guard report.health.failsAtOnce, let cause = report.cause else { return "" }
        let length = now - report.since
        let outage = StatusHistory.PastOutage(
            since: report.since, length: length, health: report.health, code: cause.code, message: cause.message,
            failedAttempts: cause.failedAttempts)
        return row(outage, now, length: "\(length.text), ongoing", kind: " class=\"now\"")
    }

    private static func row(
        _ outage: StatusHistory.PastOutage, _ now: Duration, length: String? = nil, kind: String = ""
    ) -> String {
        """
        <tr\(kind)><td>\((now - outage.since).text) ago</td><td>\(length ?? outage.length.text)</td>\
        <td>\(outage.health.rawValue)</td><td><code>\(escaped(outage.code))</code> \(escaped(outage.message))</td>\
        <td>\(outage.failedAttempts)</td></tr>
        """
    }

    private static func masked(_ masked: StatusHistory.MaskedInterruptions, _ now: Duration) -> String {
        guard let latest = masked.latest else { return "" }
        let count = masked.count == 1 ? "1 short interruption" : "\(masked.count) short interruptions"
        return """
            \(count) masked: requests were delayed. The latest one, \((now - latest.since).text) ago, took \
            \(latest.length.text).
            """
    }

    /// Escapes `text` for HTML content and attribute values.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            // NUL is an error in HTML; other control characters could move a terminal's cursor.
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value): result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
