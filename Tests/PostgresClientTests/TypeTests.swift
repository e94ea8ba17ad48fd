import Testing

@testable import PostgresClient

private typealias Reason = PostgresDecodingError.Reason

@Suite struct TypeTests {
    private func value(_ text: String?, _ type: PostgresType) -> PostgresValue { PostgresValue(text: text, type: type) }

    @Test("an array's text quotes every element")
    func arrayText() throws {
        #expect(try [1, 2].postgresText() == #"{"1","2"}"#)
        #expect(try [Int]().postgresText() == "{}")
        #expect(try ["", "NULL", nil, #"a"b\c,{}"#].postgresText() == #"{"","NULL",NULL,"a\"b\\c,{}"}"#)
        #expect(try [[1, 2], [3, 4]].postgresText() == #"{{"1","2"},{"3","4"}}"#)
        #expect(try [[UInt8]]([[1], [255]]).postgresText() == #"{"\\x01","\\xff"}"#)
        #expect([[UInt8]].postgresType.oid == 1001)
        #expect([[[Int]]].postgresType.oid == 0)
    }

    @Test(
        "an array's text is read",
        arguments: [
            ("{}", []), ("{a,b}", ["a", "b"]), ("{NULL,\"NULL\",null}", [nil, "NULL", "null"]),
            (#"{"","a b","\"\\",ä}"#, ["", "a b", "\"\\", "ä"]), (#"{a\"b}"#, ["a\"b"]),
        ] as [(String, [String?])])
    func arrayElements(text: String, elements: [String?]) throws {
        #expect(try ArrayText.elements(in: text) == elements)
    }

    @Test("arrays of more dimensions, or with other bounds, are refused", arguments: ["{{1,2},{3,4}}", "[0:1]={1,2}"])
    func otherArrays(text: String) {
        #expect(throws: Reason.unsupportedArray) { try ArrayText.elements(in: text) }
    }

    @Test(
        "what is no array's text is refused, and does not trap",
        arguments: ["", "{", "}", "a", "{,}", "{a,}", "{\"a}", "{\"a\"b}", "{a\\}", "{\"\\", "{a}b}", "{\"}"])
    func malformedArrays(text: String) {
        #expect(throws: Reason.malformed) { try ArrayText.elements(in: text) }
    }

    @Test("random texts never trap the readers of arrays and bytes")
    func randomTexts() {
        var (generator, comment) = seeded("TypeTests.randomTexts")
        let letters = Array("{}[],:=\"\\\\abN01x7 ")
        func text(_ length: Int) -> String {
            String((0..<length).compactMap { _ in letters.randomElement(using: &generator) })
        }
        for _ in 0..<20_000 {
            let text = text(.random(in: 0...12, using: &generator))
            _ = try? ArrayText.elements(in: text)
            _ = try? BytesText.bytes(in: text)
            _ = try? Int.decode(value(text, .int8))
            _ = try? Double.decode(value(text, .float8))
        }
        for _ in 0..<5_000 {
            let elements = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                Bool.random(using: &generator) ? nil : text(.random(in: 0...4, using: &generator))
            }
            let text = ArrayText.text(of: elements, areArrays: false)
            #expect((try? ArrayText.elements(in: text)) == elements, comment)
        }
    }

    @Test("binary data is read in both forms")
    func bytes() throws {
        #expect(try BytesText.bytes(in: "\\x00fFa0") == [0, 255, 160])
        #expect(try BytesText.bytes(in: "\\x") == [])
        #expect(try BytesText.bytes(in: "") == [])
        #expect(try BytesText.bytes(in: "a\\\\b\\000\\377") == [97, 92, 98, 0, 255])
        #expect(try BytesText.bytes(in: "\\\\x00") == Array("\\x00".utf8))
        for text in ["\\x0", "\\xg0", "\\", "\\12", "\\400", "\\18"] {
            #expect(throws: Reason.malformed) { try BytesText.bytes(in: text) }
        }
    }

    @Test("integers are exact")
    func integers() throws {
        #expect(try Int.decode(value("-9223372036854775808", .int8)) == .min)
        #expect(try Int.decode(value("12.000", .numeric)) == 12)
        #expect(try Int.decode(value("-0.0", .numeric)) == 0)
        for text in ["12.5", "9223372036854775808", "NaN", "Infinity", "-Infinity"] {
            #expect(throws: Reason.outOfRange) { try Int.decode(value(text, .numeric)) }
        }
        #expect(throws: Reason.outOfRange) { try UInt8.decode(value("-1", .int4)) }
        #expect(throws: Reason.outOfRange) { try Int16.decode(value("32768", .int4)) }
        #expect(throws: Reason.malformed) { try Int.decode(value("", .int8)) }
        #expect(throws: Reason.wrongType) { try Int.decode(value("1", .text)) }
        #expect(throws: Reason.wrongType) { try Int.decode(value("1", .float8)) }
        #expect(throws: Reason.isNull) { try Int.decode(value(nil, .int8)) }
        #expect(try Int?.decode(value(nil, .int8)) == nil)
    }

    @Test("a float4 is read in its own precision")
    func floats() throws {
        #expect(try Double.decode(value("0.1", .float4)) == Double(Float(0.1)))
        #expect(try Float.decode(value("0.1", .float4)) == 0.1)
        #expect(throws: Reason.wrongType) { try Float.decode(value("0.1", .float8)) }
        #expect(throws: Reason.wrongType) { try Double.decode(value("0.1", .numeric)) }
        #expect(throws: Reason.malformed) { try Double.decode(value("0x1p3", .float8)) }
        #expect(try Double.decode(value("-Infinity", .float8)) == -.infinity)
        #expect(try Double.decode(value("NaN", .float8)).isNaN)
    }

    @Test("other types")
    func others() throws {
        #expect(throws: Reason.malformed) { try Bool.decode(value("yes", .bool)) }
        #expect(throws: Reason.wrongType) { try [Int].decode(value("{1}", .text)) }
        #expect(throws: Reason.wrongType) { try [Int].decode(value("{1}", PostgresType(oid: 1009))) }
        #expect(throws: Reason.hasNullElement) { try [Int].decode(value("{1,NULL}", PostgresType(oid: 1016))) }
        #expect(try [String].decode(value("{a}", PostgresType(oid: 20_000))) == ["a"])
        #expect(try JSONText.decode(value("{}", .jsonb)).text == "{}")
    }

    enum Mood: String, PostgresCodable { case happy, sad }

    @Test("enumerations need no code")
    func rawValues() throws {
        #expect(try Mood.decode(value("sad", PostgresType(oid: 20_000))) == .sad)
        #expect(throws: Reason.unknownRawValue) { try Mood.decode(value("angry", .text)) }
        #expect(try [Mood.happy].postgresText() == #"{"happy"}"#)
        #expect(Mood.postgresType == .inferred)
    }
}
