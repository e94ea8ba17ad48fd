import PostgresTestKit
import FaultLab
import Glibc
import Testing

extension EndToEnd {
    /// A fast selection of the matrix; `scripts/chaos --all` runs the whole. Promises about time are for
    /// that: here a busy machine, or a sanitizer, must not break anything.
    @Suite("under the matrix of faults,", .serialized)
    struct MatrixTests {
        static let selection = [
            "stop-immediate", "restarts", "terminated", "killed", "black-hole", "black-hole-in-query", "forgotten",
            "resets", "half-open", "boot-in-recovery", "too-many-some-left", "too-many-none-left", "failover",
            "old-primary-returns", "tls-replaced", "descriptors", "log-unread", "slow-database", "slow-growth",
            "slow-boot", "becomes-slow", "scram-rounds", "password-rotated", "dead-address", "dead-host",
            "locked-table", "clients-hang-up",
        ]

        /// What is run in this pass. Races may be anywhere, so ThreadSanitizer sees all of the selection. What
        /// AddressSanitizer looks for, memory that is used after its end, is where sessions end with something under way:
        /// a query, a connect, a handshake.
        static let selectionOfPass =
            sanitizer == "address"
            ? [
                "stop-immediate", "killed", "black-hole-in-query", "resets", "failover", "tls-replaced", "descriptors",
                "locked-table", "clients-hang-up",
            ]
            : selection

        @Test("keeps what it promises, time left aside", arguments: selectionOfPass)
        func promises(_ name: String) async throws {
            let fault = try #require(Fault.all.first { $0.name == name })
            var settings = FaultMatrix.Settings()
            settings.isQuick = true
            // That nobody sees it must not depend on how fast this machine is. A request that has lost its connection for good
            // fails at a later deadline as well, and only a restart may last for as long as the grace.
            if case .unseen = fault.expectation { settings.environment["DARUMA_PING_TIMEOUT"] = "4s" }
            if ["restarts", "dead-address", "dead-host"].contains(name) {
                settings.environment["DARUMA_OUTAGE_GRACE"] = "3s"
            }
            let row = try await FaultMatrix(settings).run(fault)
            switch row.outcome {
            case .ran(let report):
                let broken = report.verdicts.filter { !$0.isKept && !$0.isTiming }.map(\.text)
                let words = Set(row.timeline.exchanges(on: "/ping").filter { !$0.isGood }.map(\.summary))
                #expect(broken == [], "\(row.notes); /ping, when it was not good: \(words.sorted())")
            case .skipped(let reason):
                print("skipped: \(name): \(reason)")
            case .failed(let reason):
                Issue.record("\(name) could not be run: \(reason)")
            }
        }

        @Test("names of faults are unique, and one word each")
        func names() {
            let names = Fault.all.map(\.name)
            #expect(Set(names).count == names.count)
            #expect(names.allSatisfy { !$0.contains(where: { $0 == " " || $0 == "," }) })
        }
    }
}
