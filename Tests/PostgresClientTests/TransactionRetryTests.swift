import DispatchLoop
import PostgresSession
import Testing

@testable import PostgresClient

@Suite struct TransactionRetryTests {
    @Test(
        "BEGIN has the modes in one statement",
        arguments: [
            (TransactionMode(), "begin"),
            (TransactionMode(isolation: .repeatableRead), "begin isolation level repeatable read"),
            (
                TransactionMode(isolation: .serializable, isReadOnly: true, isDeferrable: true),
                "begin isolation level serializable, read only, deferrable"
            ),
        ])
    func modes(mode: TransactionMode, sql: String) {
        #expect(mode.begin == sql)
    }

    @Test("pauses double up to the longest, and are random below it")
    func pauses() {
        let retry = TransactionRetry.upTo(10, initial: .milliseconds(10), maximum: .milliseconds(50))
        #expect((1...5).map(retry.longestPause) == [10, 20, 40, 50, 50].map { Duration.milliseconds($0) })
        #expect(retry.longestPause(before: .max) == .milliseconds(50))
        #expect(TransactionRetry.upTo(1, initial: .seconds(-1)).longestPause(before: 9) == .zero)
        var (generator, comment) = seeded("TransactionRetryTests.pauses")
        for run in 1...1_000 {
            let pause = retry.pause(before: run, using: &generator)
            #expect(pause >= .zero && pause <= retry.longestPause(before: run), comment)
        }
    }

    private func run(
        _ retry: TransactionRetry, _ transaction: (Int) throws -> TransactionOutcome<Int>
    ) async throws -> Int {
        var runs = 0
        return try await retry.run(until: nil) {
            runs += 1
            return try transaction(runs)
        }
    }

    private let fast = TransactionRetry.upTo(3, initial: .zero, maximum: .zero)
    private let conflict = PostgresClientError(.rejected, isSafeToRetry: true)

    @Test("a conflict runs again, at most as often as allowed; other failures do not")
    func runs() async throws {
        let conflict = conflict
        #expect(try await run(fast) { $0 == 4 ? .committed($0) : .failed(conflict, isConflict: true) } == 4)
        for (retry, isConflict, wanted) in [(fast, true, 4), (fast, false, 1), (.never, true, 1)] {
            var count = 0
            await #expect(throws: PostgresClientError.self) {
                try await run(retry) {
                    count = $0
                    return .failed(conflict, isConflict: isConflict)
                }
            }
            #expect(count == wanted)
        }
    }

    @Test("no further run after the deadline")
    func deadline() async {
        let retry = TransactionRetry.upTo(5, initial: .zero, maximum: .zero)
        let conflict = conflict
        var count = 0
        await #expect(throws: PostgresClientError.self) {
            try await retry.run(until: .now - .seconds(1)) { () -> TransactionOutcome<Int> in
                count += 1
                return .failed(conflict, isConflict: true)
            }
        }
        #expect(count == 1)
    }

    @Test("what a failure of COMMIT says about the transaction")
    func commitErrors() {
        func kind(
            _ code: String, _ severity: Severity?, wasNeverSent: Bool = false
        ) -> (PostgresClientError.Kind, Bool) {
            let error = LeasedSession.commitError(
                PostgresError(
                    code: code, severity: severity, message: "", disposition: .discard, wasNeverSent: wasNeverSent))
            return (error.kind, error.isSafeToRetry)
        }
        #expect(kind("EOF", nil) == (.outcomeUnknown, false))
        #expect(kind("EOF", nil, wasNeverSent: true) == (.connectionLost, true))
        #expect(kind("57P01", .fatal) == (.outcomeUnknown, false))
        #expect(kind("40003", .error) == (.outcomeUnknown, false))
        #expect(kind("08007", .error) == (.outcomeUnknown, false))
        #expect(kind("QUERY_TIMEOUT", nil) == (.outcomeUnknown, false))
        #expect(kind("40001", .error) == (.rejected, true))
        #expect(kind("23505", .error) == (.rejected, false))
    }
}
