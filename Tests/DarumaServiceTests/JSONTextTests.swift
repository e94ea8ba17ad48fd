import Foundation
import Testing

@testable import DarumaService

@Suite struct JSONTextTests {
    @Test(
        "escapes quotation marks, backslashes and control characters",
        arguments: [
            ("plain ä 🎎", "plain ä 🎎"), (#"a"b\c"#, #"a\"b\\c"#), ("\n\r\t", #"\n\r\t"#),
            ("\u{0}\u{1B}\u{7F}", #"\u0000\u001b\u007f"#),
        ])
    func escapes(text: String, escaped: String) throws {
        #expect(JSONText.escaped(text) == escaped)
        let json = Data("[\"\(escaped)\"]".utf8)
        #expect(try JSONSerialization.jsonObject(with: json) as? [String] == [text])
    }
}
