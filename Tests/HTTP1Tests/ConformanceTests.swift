import Foundation
import HTTP1Checks
import Testing

/// Checks that Conformance.md names existing tests, and every section that a rejection cites.
@Suite struct ConformanceTests {
    struct Row: Sendable {
        var section: String
        var tests: [String]
    }

    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")

    static func rows() throws -> [Row] {
        let article = root.appendingPathComponent("Sources/Libraries/HTTP/HTTP1/HTTP1.docc/Conformance.md")
        let lines = try String(contentsOf: article, encoding: .utf8).split(separator: "\n")
        return lines.compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard line.hasPrefix("|"), cells.count == 4, cells[0].contains("§") else { return nil }
            let tests = cells[3].split(separator: ",").map {
                $0.trimmingCharacters(in: CharacterSet(charactersIn: " `"))
            }
            return Row(section: cells[0], tests: tests)
        }
    }

    /// `Suite.function` of every test in the sources.
    static func existingTests() throws -> Set<String> {
        let folder = root.appendingPathComponent("Tests")
        var names = Set<String>()
        for case let file as URL in FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
            ?? .init()
        where file.pathExtension == "swift" {
            var suite = ""
            var isTest = false
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                if let match = line.firstMatch(of: /^(?:@Suite.* )?struct (\w+)/) { suite = String(match.1) }
                if line.contains("@Test") { isTest = true }
                if isTest, let match = line.firstMatch(of: /^    func (\w+)/) {
                    names.insert("\(suite).\(match.1)")
                    isTest = false
                }
            }
        }
        return names
    }

    @Test("every row of the table names tests, and all of them exist")
    func testsExist() throws {
        let existing = try Self.existingTests()
        let rows = try Self.rows()
        #expect(rows.count > 90)
        for row in rows {
            #expect(!row.tests.isEmpty, "\(row.section)")
            for test in row.tests { #expect(existing.contains(test), "\(row.section): \(test)") }
        }
    }

    @Test("every section that a rejection cites is in the table")
    func sectionsAreListed() throws {
        let listed = Set(try Self.rows().map(\.section))
        for wire in RefusedWire.all { #expect(listed.contains(wire.section), "\(wire)") }
    }

    @Test("every error in the sources cites its section")
    func refusalsCite() throws {
        let file = Self.root.appendingPathComponent("Sources/Libraries/HTTP/HTTP1/Parser/HTTP1Error.swift")
        var comment = ""
        var count = 0
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            let text = line.trimmingCharacters(in: .whitespaces)
            if text.hasPrefix("///") {
                comment += text
            } else {
                if text.wholeMatch(of: /case \w+/) != nil {
                    count += 1
                    #expect(comment.contains(/RFC \d+ §\d/), "\(text)")
                }
                comment = ""
            }
        }
        #expect(count > 30)
    }
}
