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

    @Test("every place in the page is filled, and everything there is to say has its place")
    func places() {
        let values = StatusPage.values(.made(), .made, history)
        #expect(Set(StatusPage.standard.places) == Set(values.keys))
        #expect(!html(.made()).contains("{{"))
    }

    @Test("the page is at most 40 KB")
    func size() { #expect(html(.made()).utf8.count <= 40_000) }

    @Test("the state is there without the script")
    func state() {
        let cause = StatusReport.Cause(code: "ECONNREFUSED", message: "connection refused", failedAttempts: 12)
        let page = html(.made(.down, cause: cause, slots: [.connecting, .free]))
        #expect(page.contains(#"<html lang="en" data-health="down">"#))
        #expect(page.contains(#"<h1 id="headline">The database is down</h1>"#))
        #expect(page.contains(#"<code id="cause-code">ECONNREFUSED</code>"#))
        #expect(page.contains(#"<dd id="attempts">12</dd>"#))
        #expect(page.contains(#"<li class="s-connecting">"#))
        #expect(page.contains("1 min 4 s, going on"))
        #expect(html(.made()).contains(#"<p id="cause" class="cause" hidden>"#))
    }

    @Test(
        "what comes from elsewhere is text in it and never markup",
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

    @Test("the policy allows this script and this style, the page's own events, and nothing else")
    func policy() throws {
        let response = StatusPage.standard.response(.made(), .made, history)
        let policy = try #require(response.fields[.contentSecurityPolicy])
        #expect(policy.hasPrefix("default-src 'none'; script-src 'sha256-"))
        #expect(policy.contains("connect-src 'self'"))
        #expect(!policy.contains("unsafe"))
        let page = html(.made())
        for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
            let pieces = page.split(separator: "<\(tag)>", omittingEmptySubsequences: false)
            #expect(pieces.count == 2)
            let text = pieces[1].prefix(upTo: try #require(pieces[1].firstRange(of: "</\(tag)>")).lowerBound)
            #expect(policy.contains("\(directive) '\(SHA256.source(Array(text.utf8)))'"))
        }
        // Attributes of this kind would be refused by the policy.
        #expect(page.firstMatch(of: /<[^>]* (style|on[a-z]+)=/) == nil)
        #expect(response.fields[.cacheControl] == "no-store")
    }

    @Test("the page names nothing that would be fetched from anywhere else")
    func selfContained() {
        for scheme in ["https:", "//fonts", "src=\"http", "href=\"http", "url(http", "@import"] {
            #expect(!html(.made()).contains(scheme))
        }
    }
}

@Suite struct SHA256Tests {
    @Test(
        "as in the examples of FIPS 180-4, and across the ends of blocks",
        arguments: [
            ("", "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            ("abc", "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "sha256-JI1qYdIGOLjlwCaTDD5gOaM85Flk/yFn9uzt1BnbBsE="
            ),
            (String(repeating: "a", count: 55), "sha256-n0OQ+NMMLdkuyfCVtl4rmumwqSWlJY4kHJ8ekQ9zQxg="),
            (String(repeating: "a", count: 56), "sha256-s1Q5pKxvCUi21vnjxq8PX1kM4g8b3nCQ73lwaG7Gc4o="),
            (String(repeating: "a", count: 64), "sha256-/+BU/nrgy23GXDr5th1SCfQ5hR20PQulmXM33xVGaOs="),
        ])
    func examples(text: String, source: String) {
        #expect(SHA256.source(Array(text.utf8)) == source)
    }
}
