import DispatchLoop
import Foundation
import PostgresTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ReadmeTests {
    private func file(_ path: String) throws -> String {
        let here = URL(fileURLWithPath: #filePath)
        return try String(contentsOf: here.deletingLastPathComponent().appendingPathComponent(path), encoding: .utf8)
    }

    @Test("the guide contains the example that is compiled here")
    func example() throws {
        let example = try file("ReadmeExample.swift").trimmingCharacters(in: .newlines)
        let guide = "../../Sources/Libraries/Postgres/DispatchPostgres/DispatchPostgres.docc/DispatchPostgres.md"
        #expect(try file(guide).contains("```swift\n\(example)\n```"))
    }

    @LoopActor
    @Test("the example works")
    func works() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            _ = try await sandbox.execute(
                "create table accounts (name text, balance numeric); insert into accounts values ('Ada', 12.50)",
                database: "mydb")
            let accounts = Accounts(sandbox.connectionURL())
            #expect(try await accounts.balance(of: "Ada") == "12.50")
            #expect(try await accounts.balance(of: "Bob") == nil)
            try await accounts.transfer("2.50", from: "Ada", to: "Bob")
            #expect(try await accounts.balance(of: "Ada") == "10.00")
            await accounts.close()
        }
    }
}
