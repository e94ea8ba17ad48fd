import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("a consumer", .serialized)
    struct ConsumerTests {
        private static let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

        @Test("of PostgresClient resolves what that needs, and nothing of the service and the lab")
        func resolves() async throws {
            let folder = try TemporaryFolder()
            let name = Self.root.split(separator: "/").last.map(String.init) ?? ""
            try Files.write(
                """
                // swift-tools-version: 6.2
                import PackageDescription
                let package = Package(
                    name: "consumer", dependencies: [.package(path: "\(Self.root)", traits: [])],
                    targets: [.target(name: "App", dependencies: [.product(name: "PostgresClient", package: "\(name)")])])

                """, to: "\(folder.path)/Package.swift", mode: 0o644)
            try Files.makeFolder("\(folder.path)/Sources/App", mode: 0o755)
            try Files.write("", to: "\(folder.path)/Sources/App/App.swift", mode: 0o644)
            let command = try await ServiceProcess.start(
                ["swift", "package", "--package-path", folder.path, "show-dependencies", "--format", "flatlist"])
            #expect(try await command.waitForExit(within: patience) == .code(0), "\(command.log)")
            let resolved = command.log.split(separator: "\n").map(String.init)
                .filter { $0.hasPrefix("swift-") && !$0.contains(" ") }
            #expect(Set(resolved) == ["swift-collections"], "\(command.log)")
        }
    }
}
