import DispatchLoop
import DispatchPostgres
import HTTP1
import HTTPTypes
import Testing

@testable import DarumaService

@Suite struct StatusPageTests {
    private let history = StatusHistory(start: MonotonicTime(nanoseconds: 0))

    private func html(_ report: StatusReport) -> String {
        String(decoding: StatusPage.standard.response(report, .made, history).body, as: UTF8.self)
    }

    @Test("every placeholder has a value, and every value a placeholder")
    func placeholders() {
        let values = StatusPage.values(.made(), .made, history)
        #expect(Set(StatusPage.standard.placeholders) == Set(values.keys))
        #expect(!html(.made()).contains("{{"))
    }

    @Test("page, style and script have at most 40 KB")
    func size() {
        let files = StatusPage.style.body.count + StatusPage.script.body.count
        #expect(html(.made()).utf8.count + files <= 40_000)
    }

    @Test("the page shows the state without the script")
    func state() {
        let cause = StatusReport.Cause(code: "ECONNREFUSED", message: "connection refused", failedAttempts: 12)
        let page = html(.made(.down, cause: cause, slots: [.connecting, .free]))
        #expect(page.contains(#"<html lang="en" data-health="down">"#))
        #expect(page.contains(#"<h1 id="headline">The database is down</h1>"#))
        #expect(page.contains(#"<code id="cause-code">ECONNREFUSED</code>"#))
        #expect(page.contains(#"<dd id="attempts">12</dd>"#))
        #expect(page.contains(#"<li class="s-connecting">"#))
        #expect(page.contains("1 min 4 s, ongoing"))
        #expect(html(.made()).contains(#"<p id="cause" class="cause" hidden>"#))
    }

    @Test(
        "foreign text is never markup",
        arguments: [
            "<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", #"" onmouseover="alert(1)"#,
            "' autofocus onfocus='alert(1)", "&lt;b&gt;", "{{version}}", "a\u{0}b\u{1B}[2J",
        ])
    func hostile(text: String) {
        let cause = StatusReport.Cause(code: text, message: text, failedAttempts: 1)
        let page = html(.made(.down, cause: cause))
        let plain = html(.made(.down, cause: StatusReport.Cause(code: "x", message: "x", failedAttempts: 1)))
        for mark in ["<", ">", "\"", "'", "\u{0}", "\u{1B}"] {
            let count = { (page: String) in page.split(separator: mark, omittingEmptySubsequences: false).count }
            #expect(count(page) == count(plain), "\(mark)")
        }
        #expect(page.contains(StatusPage.escaped(text)))
    }

    @Test("the policy allows only the service's own script, style and events")
    func policy() throws {
        let response = StatusPage.standard.response(.made(), .made, history)
        let policy = try #require(response.fields[.contentSecurityPolicy])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"))
        #expect(!policy.contains("unsafe"))
        let page = html(.made())
        #expect(page.contains(#"<link rel="stylesheet" href="status.css">"#))
        #expect(page.contains(#"<script src="status.js"></script>"#))
        // The policy forbids inline script and style.
        #expect(page.firstMatch(of: /<style|<script>|<[^>]* (style|on[a-z]+)=/) == nil)
        #expect(response.fields[.cacheControl] == "no-store")
    }

    @Test("script and style have their types and are not cached, as the page")
    func files() {
        for (response, type) in [(StatusPage.style, "text/css"), (StatusPage.script, "text/javascript")] {
            #expect(response.status == .ok && !response.body.isEmpty)
            #expect(response.fields[.contentType] == "\(type); charset=utf-8")
            #expect(response.fields[.cacheControl] == "no-store")
            #expect(response.fields[.xContentTypeOptions] == "nosniff")
        }
    }

    @Test("page, style and script load nothing from other origins")
    func selfContained() {
        let all = [Array(html(.made()).utf8), StatusPage.style.body, StatusPage.script.body]
            .map { String(decoding: $0, as: UTF8.self) }.joined()
        for scheme in ["https:", "//fonts", "src=\"http", "href=\"http", "url(http", "@import"] {
            #expect(!all.contains(scheme))
        }
    }
}
