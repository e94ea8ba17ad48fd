internal import DispatchLoop
internal import DispatchPostgres
internal import HTTP1
internal import HTTPTypes

/// The page: `status.html` with its style and script in it, and places that are filled with what is known when it is
/// asked for, so that it says something without its script as well.
struct StatusPage: Sendable {
    /// A piece of the page as it is, or the name of a place to be filled.
    private enum Part: Sendable {
        case bytes([UInt8])
        case place(String)
    }

    private let parts: [Part]
    /// What the page may do: run its own script and style, and ask for its own events. Nothing else, from nowhere.
    let policy: String

    /// The page as it was compiled in.
    static let standard = StatusPage(
        html: PackageResources.status_html, style: PackageResources.status_css, script: PackageResources.status_js)

    init(html: [UInt8], style: [UInt8], script: [UInt8]) {
        policy = """
            default-src 'none'; script-src '\(SHA256.source(script))'; style-src '\(SHA256.source(style))'; \
            connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
            require-trusted-types-for 'script'
            """
        var parts: [Part] = []
        var rest = String(decoding: html, as: UTF8.self)[...]
        while let open = rest.firstRange(of: "{{"), let close = rest[open.upperBound...].firstRange(of: "}}") {
            parts.append(.bytes(Array(rest[..<open.lowerBound].utf8)))
            let name = rest[open.upperBound..<close.lowerBound]
            switch name {
            case "style": parts.append(.bytes(style))
            case "script": parts.append(.bytes(script))
            default: parts.append(.place(String(name)))
            }
            rest = rest[close.upperBound...]
        }
        parts.append(.bytes(Array(rest.utf8)))
        self.parts = parts
    }

    /// The names of the places.
    var places: [String] {
        parts.compactMap { part in
            if case .place(let name) = part { name } else { nil }
        }
    }

    /// The answer that shows this.
    func response(_ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory) -> Response {
        let values = Self.values(report, clock, history)
        var body: [UInt8] = []
        for part in parts {
            switch part {
            case .bytes(let bytes): body += bytes
            case .place(let name): body += Array((values[name] ?? "").utf8)
            }
        }
        var fields: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store", .contentSecurityPolicy: policy,
            .xContentTypeOptions: "nosniff",
        ]
        if let name = HTTPField.Name("Referrer-Policy") { fields[name] = "no-referrer" }
        return Response(status: .ok, fields: fields, body: body)
    }

    /// What goes into the places: HTML, with everything that came from elsewhere escaped.
    static func values(
        _ report: StatusReport, _ clock: StatusClock, _ history: StatusHistory
    ) -> [String: String] {
        let cause = report.cause
        let now = clock.sinceStart
        let outages = ([goingOn(report, now)] + history.outages.map { row($0, now) }).joined()
        return [
            "version": escaped(BuildInfo.version), "health": report.health.rawValue,
            "headline": escaped(report.headline), "note": escaped(report.note),
            "causeHidden": hidden(cause == nil), "causeCode": escaped(cause?.code ?? ""),
            "causeText": escaped(cause?.message ?? ""), "outageHidden": hidden(cause == nil),
            "attempts": "\(cause?.failedAttempts ?? 0)",
            "next": clock.nextAttempt.map { "in \($0.text)" } ?? "when needed",
            "sinceLabel": report.sinceLabel, "since": (now - report.since).text, "falls": report.fallsText,
            "poolSummary": escaped(report.poolSummary), "slots": slots(report.slots),
            "outages": outages, "outagesHidden": hidden(outages.isEmpty),
            "noOutageHidden": hidden(!outages.isEmpty), "bridged": bridged(history.bridged, now),
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

    /// The outage that goes on is the first of the list.
    private static func goingOn(_ report: StatusReport, _ now: Duration) -> String {
        guard report.health.failsAtOnce, let cause = report.cause else { return "" }
        let length = now - report.since
        let outage = StatusHistory.PastOutage(
            since: report.since, length: length, health: report.health, code: cause.code, message: cause.message,
            failedAttempts: cause.failedAttempts)
        return row(outage, now, length: "\(length.text), going on", kind: " class=\"now\"")
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

    private static func bridged(_ bridged: StatusHistory.Bridged, _ now: Duration) -> String {
        guard let latest = bridged.latest else { return "" }
        let count = bridged.count == 1 ? "1 short interruption" : "\(bridged.count) short interruptions"
        return """
            \(count) bridged: requests only waited. The latest, \((now - latest.since).text) ago, took \
            \(latest.length.text).
            """
    }

    /// `text` as it may stand in HTML, between tags and between quotes.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            // NUL is an error in HTML, and what moves a terminal's cursor has no business here either.
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value): result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
