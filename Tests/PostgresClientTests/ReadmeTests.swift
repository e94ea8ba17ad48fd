import Foundation
import PostgresTestKit
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(1))) struct ReadmeTests {
    private func file(_ path: String) throws -> String {
        let here = URL(fileURLWithPath: #filePath)
        return try String(contentsOf: here.deletingLastPathComponent().appendingPathComponent(path), encoding: .utf8)
    }

    @Test("the guide contains the examples that are compiled here")
    func examples() throws {
        let path = "../../Sources/Libraries/Postgres/PostgresClient/PostgresClient.docc/PostgresClient.md"
        let guide = try file(path)
        var isFirst = true
        for part in try file("ReadmeExample.swift").components(separatedBy: "// MARK: ") {
            // The first line of the others is their name.
            let code = isFirst ? part : String(part.drop { $0 != "\n" })
            #expect(guide.contains("```swift\n\(code.trimmingCharacters(in: .newlines))\n```"), "\(part.prefix(20))")
            isFirst = false
        }
    }

    @Test("the examples work")
    func work() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let url = sandbox.connectionURL()
            try await Notes.main(url) { notes in
                _ = try await notes.client.query(
                    """
                    create table notes (
                        id bigint generated always as identity primary key, text text, color text, tags text[],
                        picture bytea,
                        constraint notes_text_key unique (text) deferrable initially deferred)
                    """)
                let first = try await notes.add("it's", .blue, tags: ["a", "b"], picture: [0, 255])
                let second = try await notes.add("two", .red, tags: ["b"])
                let texts = try await notes.texts(with: "b")
                #expect(texts == ["it's", "two"])
                try await notes.swap(first, second)
                let note = try await notes.note(first)
                #expect(note?.text == "two" && note?.color == .blue && note?.picture == [0, 255])
                let none = try await notes.note(77)
                #expect(none == nil)
                let count = try await notes.count()
                #expect(count.map(\.0) == [.blue, .red] && count.map(\.1) == [1, 1])
                let lines = AsyncStream<[UInt8]> { stream in
                    for line in ["three\n", "four\n"] { stream.yield(Array(line.utf8)) }
                    stream.finish()
                }
                let loaded = try await notes.load(lines)
                #expect(loaded == 2)
                var all: [String] = []
                try await notes.forEachText { all.append($0) }
                #expect(all == ["two", "it's", "three", "four"])
                guard case .duplicate = try await notes.addOnce("two") else {
                    Issue.record("expected a duplicate")
                    return
                }
            }
        }
    }
}
