import PostgresTestKit
import FaultLab
import Glibc
import Testing

extension EndToEnd {
    /// A fast selection of the matrix. Only `scripts/chaos --all` checks promises about time, which a busy machine or a
    /// sanitizer would break here.
    @Suite("under the fault matrix,", .serialized)
    struct MatrixTests {
        static let selection = [
            "stop-immediate", "restarts", "terminated", "killed", "black-hole", "black-hole-in-query", "forgotten",
            "resets", "half-open", "boot-in-recovery", "too-many-some-left", "too-many-none-left", "failover",
            "old-primary-returns", "tls-replaced", "descriptors", "log-unread", "slow-database", "slow-growth",
            "slow-boot", "becomes-slow", "scram-rounds", "password-rotated", "dead-address", "dead-host",
            "locked-table", "clients-hang-up",
        ]

        /// The selection of this pass. ThreadSanitizer runs all faults, because any of them may race. AddressSanitizer
        /// looks for use after free, which needs a session that ends during a query, a connect or a handshake.
        static let selectionOfPass =
            sanitizer == "address"
            ? [
                "stop-immediate", "killed", "black-hole-in-query", "resets", "failover", "tls-replaced", "descriptors",
                "locked-table", "clients-hang-up",
            ]
            : selection

        @Test("it keeps its promises except those of time", arguments: selectionOfPass)
        func promises(_ name: String) async throws {
            let fault = try #require(Fault.all.first { $0.name == name })
            var settings = FaultMatrix.Settings()
            settings.isQuick = true
            // The longer deadlines cover a slow machine. A request that loses its connection still fails, at the longer
            // deadline. Only restarts and dead addresses get a longer grace.
            if case .unseen = fault.expectation { settings.environment["DARUMA_PING_TIMEOUT"] = "4s" }
            if ["restarts", "dead-address", "dead-host"].contains(name) {
                settings.environment["DARUMA_OUTAGE_GRACE"] = "3s"
            }
            let row = try await FaultMatrix(settings).run(fault)
            switch row.result {
            case .ran(let report):
                let broken = report.checks.filter { !$0.isKept && !$0.isTiming }.map(\.text)
                let words = Set(row.timeline.exchanges(on: "/ping").filter { !$0.isGood }.map(\.summary))
                #expect(broken == [], "\(row.notes); failing /ping: \(words.sorted())")
            case .skipped(let reason):
                print("skipped: \(name): \(reason)")
            case .failed(let reason):
                Issue.record("\(name) could not run: \(reason)")
            }
        }

        @Test("the faults' names are unique words")
        func names() {
            let names = Fault.all.map(\.name)
            #expect(Set(names).count == names.count)
            #expect(names.allSatisfy { !$0.contains(where: { $0 == " " || $0 == "," }) })
        }
    }
}
