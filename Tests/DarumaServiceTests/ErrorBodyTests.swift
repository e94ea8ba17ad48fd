import DispatchLoop
import Foundation
import HTTP1
import HTTPTypes
import Testing

@testable import DarumaService

@Suite("errors as JSON")
struct ErrorBodyTests {
    @Test("an error has its message, the type of JSON and no-store")
    func body() {
        let response = ErrorBody.response(.notFound, "There is nothing at this path.", fields: [:])
        #expect(response.status == .notFound)
        #expect(response.fields[.contentType] == "application/json; charset=utf-8")
        #expect(response.fields[.cacheControl] == "no-store", "by default caches may keep a 404")
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == "{\n  \"status\": false,\n  \"error\": {\n    \"message\": \"There is nothing at this path.\"\n  }\n}"
        )
    }

    @Test("every text becomes one JSON string that reads back as the same text")
    func escapesEverything() throws {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SplitMix64(seed: seed)
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                // Favours control characters and those that JSON must escape.
                let range: ClosedRange<UInt32> = Bool.random(using: &generator) ? 0...0x7F : 0...0x10FFFF
                guard let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) else { continue }
                text.unicodeScalars.append(scalar)
            }
            let json = Data("[\"\(JSONText.escaped(text))\"]".utf8)
            let read = try #require(try JSONSerialization.jsonObject(with: json) as? [String], "seed \(seed)")
            #expect(read.count == 1, "seed \(seed)")
            #expect(read.first.map { Array($0.utf8) } == Array(text.utf8), "seed \(seed)")
        }
    }
}
