import Testing

@testable import PostgresSession

@Suite("a server's text") struct TextLimitTests {
    @Test(
        "is unchanged up to 1 KiB, and beyond that cut between two characters and marked",
        arguments: ["x", "ä", "😀"])
    func limit(character: String) {
        let most = String(repeating: character, count: 1_024 / character.utf8.count)
        #expect(PostgresError.limited(most) == most)
        let cut = PostgresError.limited(most + character)
        #expect(cut.utf8.count <= 1_024)
        #expect(cut.utf8.count > 1_024 - 8)
        #expect(cut.hasSuffix(character + "…"))
        #expect(cut.dropLast().allSatisfy { String($0) == character })
    }

    @Test("is cut in message, detail and hint when connecting fails")
    func connecting() {
        let long = String(repeating: "long ", count: 4_000)
        let error = LibpqMessageParser.error(
            in: "FATAL:  57P03: \(long)\nDETAIL:  \(long)\nHINT:  \(long)\n", phase: .connecting, endpoint: nil)
        #expect(error.code == "57P03")
        for text in [error.message, error.detail ?? "", error.hint ?? ""] {
            #expect(text.utf8.count > 1_000 && text.utf8.count <= 1_024)
            #expect(text.hasSuffix("…"))
        }
    }
}
