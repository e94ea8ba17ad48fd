import Foundation
import HTTP1Checks
import Testing

/// The inputs that `scripts/fuzz` keeps, and every input that ever caused a failure.
@Suite struct CorpusTests {
    static let files: [URL] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Corpus")
        let found = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return (found ?? []).sorted { $0.lastPathComponent < $1.lastPathComponent }
    }()

    @Test("the corpus exists")
    func exists() {
        #expect(Self.files.count > 50)
    }

    @Test("no input of the corpus violates a property")
    func holds() throws {
        for file in Self.files {
            let bytes = Array(try Data(contentsOf: file))
            #expect(ParserChecks.breach(bytes) == nil, "\(file.lastPathComponent)")
            #expect(ResponseChecks.breach(bytes) == nil, "\(file.lastPathComponent)")
        }
    }
}
