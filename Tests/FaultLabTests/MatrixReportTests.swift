import FaultLab
import Testing

@Suite("the report on the matrix")
struct MatrixReportTests {
    private static let skipped = FaultMatrix.Row(.stop, .skipped(reason: "needs <root> & \"more\""))
    private static let failed = FaultMatrix.Row(.kill, .failed("first line\nsecond | line"), notes: ["a note"])

    @Test("says what was skipped, by name, and is kept all the same")
    func skipped() {
        let report = MatrixReport([Self.skipped], subject: "daruma", isQuick: true)
        #expect(report.isKept)
        #expect(report.summary.hasSuffix("skipped: stop"))
        #expect(report.markdown.contains("needs <root>"))
        #expect(report.html.contains("needs &lt;root&gt; &amp; &quot;more&quot;"))
        #expect(!report.html.contains("<root>"))
        #expect(report.json.contains("needs <root> & \\\"more\\\""))
    }

    @Test("a fault that could not be done is no promise kept")
    func failed() {
        let report = MatrixReport([Self.skipped, Self.failed], subject: "some \\ command", isQuick: false)
        #expect(!report.isKept)
        #expect(report.summary.contains("broken: kill"))
        #expect(report.json.contains("first line\\nsecond | line"))
        #expect(report.json.contains("some \\\\ command"))
        #expect(report.lines.count == 3)
        #expect(Set(report.lines.map(\.count)).count == 1, "columns are as wide in every line")
    }

    @Test("the page needs nothing from elsewhere")
    func selfContained() {
        let html = MatrixReport([Self.failed], subject: "daruma", isQuick: false).html
        for word in ["http://", "https://", "<script", "<link", "@import"] { #expect(!html.contains(word)) }
    }
}
