import FaultLab
import PostgresTestKit
import Testing

@Suite("The matrix report")
struct MatrixReportTests {
    private static let skipped = FaultMatrix.Row(.stop, .skipped(reason: "needs <root> & \"more\""))
    private static let failed = FaultMatrix.Row(.kill, .failed("first line\nsecond | line"), notes: ["a note"])

    @Test("names a skipped fault, which breaks no promise")
    func skipped() {
        let report = MatrixReport([Self.skipped], subject: "daruma", isQuick: true)
        #expect(report.isKept)
        #expect(report.summary == "every promise kept under 0 of 1 faults; skipped: stop")
        #expect(report.markdown.contains("needs <root>"))
        #expect(report.json.contains("needs <root> & \\\"more\\\""))
    }

    @Test("counts a fault that could not run as broken")
    func failed() {
        let report = MatrixReport([Self.skipped, Self.failed], subject: "some \\ command", isQuick: false)
        #expect(!report.isKept)
        #expect(report.summary.contains("broken: kill"))
        #expect(report.json.contains("first line\\nsecond | line"))
        #expect(report.json.contains("some \\\\ command"))
        #expect(report.lines.count == 3)
        #expect(Set(report.lines.map(\.count)).count == 1, "columns have the same width in every line")
    }

    @Test("is published with title, date, revision, machine, table and broken promises")
    func published() async throws {
        var host = HostInfo(load: 0.25, processors: 2)
        host.time = "2026-11-27T10:00:00Z"
        host.model = "Model"
        host.kernel = "6.1"
        let others = Fault.all.filter { $0.name != "kill" }.map { FaultMatrix.Row($0, .skipped(reason: "")) }
        let report = MatrixReport([Self.failed] + others, subject: "daruma", isQuick: false, host: host)
        let folder = try TemporaryFolder()
        let path = try await report.dated.publish(to: "\(folder.path)/results", on: host)
        #expect(path == "\(folder.path)/results/fault-matrix-2026-11-27.md")
        let text = try #require(Files.read(path))
        #expect(text.hasPrefix("# The fault matrix, 2026-11-27\n\n`scripts/chaos --all` at revision "))
        #expect(text.contains(", on 2 × Model, Linux 6.1, load before: 0.25."))
        #expect(text.contains("| kill |"))
        #expect(text.contains("## Not kept\n\n- `kill` could not run: first line"))
        #expect(report.dated.text(on: host, revision: "abc1234").contains("at revision abc1234, on"))
    }

    @Test("of some of the faults is published as a part, under another name")
    func part() {
        let report = MatrixReport([Self.skipped, Self.failed], subject: "daruma", isQuick: true).dated
        #expect(report.name == "fault-matrix-part")
        #expect(report.title == "A part of the fault matrix")
        #expect(report.command == "scripts/chaos --quick --only stop,kill")
    }
}
