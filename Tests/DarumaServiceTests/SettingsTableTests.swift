import Foundation
import Testing

@testable import DarumaService

@Suite struct SettingsTableTests {
    @Test("the table in Settings.md matches the settings")
    func table() throws {
        let rows = Setting.allCases.map { "| `--\($0.flag)` | `\($0.variable)` | \($0.defaultText) | \($0.meaning) |" }
        let table = rows.joined(separator: "\n")
        let document = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "../../Sources/Service/DarumaService/DarumaService.docc/Settings.md")
        let text = try String(contentsOf: document, encoding: .utf8)
        #expect(text.contains(table), "The table should be:\n\(table)")
    }
}
