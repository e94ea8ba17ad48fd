import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("when the keys of a login take long,", .serialized)
    struct LoginKeysTests {
        /// Creates a role whose keys take `rounds`. The password is wrong, which shows only after computing them.
        private func url(_ sandbox: PostgresSandbox, rounds: Int) async throws -> String {
            let key = String(repeating: "A", count: 43) + "="
            let verifier = "SCRAM-SHA-256$\(rounds):c2FsdA==$\(key):\(key)"
            // Bypasses CREATE ROLE, which computes the keys to detect an empty password.
            _ = try await sandbox.execute(
                "create role slow login; update pg_authid set rolpassword = '\(verifier)' where rolname = 'slow'")
            return "postgres://slow:x@127.0.0.1:\(sandbox.port)/mydb"
        }

        /// Rounds that take about a second. A round costs several times as much under a sanitizer; the plain number
        /// would take 20 s there on a busy machine.
        static let bearable = isUnderSanitizer ? 100_000 : 1_000_000

        @Test(
            "/ is served, /ping names the cause, and SIGTERM stops it",
            arguments: [bearable, 40_000_000, 2_000_000_000])
        func rounds(_ rounds: Int) async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                let clock = ContinuousClock()
                var asked = clock.now
                try await withService(try await url(sandbox, rounds: rounds)) { service in
                    let cause = rounds == Self.bearable ? "28P01" : "LOGIN_KEYS"
                    var words: [String] = []
                    let answer = try await service.ping {
                        if words.last != $0.summary { words.append($0.summary) }
                        return $0.errorCode == cause
                    }
                    #expect(answer != nil, "/ping did not name \(cause) but \(words)")
                    var longest = Duration.zero
                    for _ in 0..<200 {
                        let time = await clock.measure { _ = await service.get("/") }
                        longest = max(longest, time)
                        try await clock.sleep(for: .milliseconds(10))
                    }
                    // If the loop computed the keys or waited for them, `/` would take as long as they do: 40 s or more
                    // for the large numbers. The fault matrix checks how fast `/` is.
                    if rounds != Self.bearable { #expect(longest < .seconds(5)) }
                    asked = clock.now
                }
                #expect(clock.now - asked < .seconds(15))
            }
        }
    }
}
