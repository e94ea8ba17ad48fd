import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("when the keys of a log-in take long,", .serialized)
    struct LoginKeysTests {
        /// A role whose keys take `rounds`, and nobody's password: that is found out after they were computed.
        private func url(_ sandbox: PostgresSandbox, rounds: Int) async throws -> String {
            let key = String(repeating: "A", count: 43) + "="
            let verifier = "SCRAM-SHA-256$\(rounds):c2FsdA==$\(key):\(key)"
            // Past CREATE ROLE, which computes them itself, to see whether the password is empty.
            _ = try await sandbox.execute(
                "create role slow login; update pg_authid set rolpassword = '\(verifier)' where rolname = 'slow'")
            return "postgres://slow:x@127.0.0.1:\(sandbox.port)/mydb"
        }

        /// Rounds that take a second or so. A round is several times as dear under a sanitizer, which would be measured
        /// here for 20 s on a busy machine.
        static let bearable = isUnderSanitizer ? 100_000 : 1_000_000

        @Test(
            "/ goes on, /ping names the cause, and SIGTERM ends it", arguments: [bearable, 40_000_000, 2_000_000_000])
        func rounds(_ rounds: Int) async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                let clock = ContinuousClock()
                var asked = clock.now
                try await withService(try await url(sandbox, rounds: rounds)) { service in
                    let cause = rounds == Self.bearable ? "28P01" : "LOGIN_KEYS"
                    var words: [String] = []
                    let told = try await service.ping {
                        if words.last != $0.summary { words.append($0.summary) }
                        return $0.errorCode == cause
                    }
                    #expect(told != nil, "/ping was to name \(cause), and said \(words)")
                    var longest = Duration.zero
                    for _ in 0..<200 {
                        let time = await clock.measure { _ = await service.get("/") }
                        longest = max(longest, time)
                        try await clock.sleep(for: .milliseconds(10))
                    }
                    // With the keys on the loop, or a loop that waits for them, it would be all of their time: 40 s and more
                    // for the dear ones. How quick / is besides, the matrix says.
                    if rounds != Self.bearable { #expect(longest < .seconds(5)) }
                    asked = clock.now
                }
                #expect(clock.now - asked < .seconds(15))
            }
        }
    }
}
