import Glibc
import PostgresSandbox
import Testing

extension EndToEnd {
    /// A fast selection of the matrix; `scripts/chaos --all` runs the whole. Promises about time are for
    /// that: here a busy machine, or a sanitizer, must not break anything.
    @Suite("under the matrix of faults,", .serialized)
    struct MatrixTests {
        static let selection = [
            "stop-immediate", "restarts", "terminated", "killed", "black-hole", "black-hole-in-query", "forgotten",
            "resets",
            "half-open", "boot-in-recovery", "too-many-some-left", "too-many-none-left", "failover",
            "old-primary-returns", "tls-replaced", "descriptors", "log-unread",
        ]

        @Test("keeps what it promises, time left aside", arguments: selection)
        func promises(_ name: String) async throws {
            let fault = try #require(Fault.all.first { $0.name == name })
            var settings = FaultMatrix.Settings()
            settings.isQuick = true
            let row = try await FaultMatrix(settings).run(fault)
            switch row.outcome {
            case .ran(let report):
                let broken = report.verdicts.filter { !$0.isKept && !$0.isTiming }.map(\.text)
                #expect(broken == [], "\(row.notes)")
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
