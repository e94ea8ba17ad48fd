import PostgresTestKit
import Testing

@Suite struct GuideTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

    @Test("the guide contains the example that is compiled and run")
    func example() throws {
        let example = try #require(Files.read("\(Self.root)/Tests/ClientServiceTests/OutageExample.swift"))
        let guide = try #require(
            Files.read("\(Self.root)/Sources/Lab/PostgresTestKit/PostgresTestKit.docc/PostgresTestKit.md"))
        #expect(guide.contains("```swift\n\(example)```"))
    }
}
