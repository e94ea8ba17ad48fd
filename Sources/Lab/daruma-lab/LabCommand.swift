import ArgumentParser
import PostgresTestKit

/// A command of the lab. `run` maps errors to a message and an exit status, and Ctrl-C or SIGTERM to a cancellation, so
/// that the lab removes everything that it created.
protocol LabCommand: AsyncParsableCommand, Sendable {
    func perform() async throws
}

extension LabCommand {
    func run() async throws {
        let command = self
        do {
            try await Interruption.cancelling { try await command.perform() }
        } catch is CancellationError {
            throw LabExit.interrupted
        } catch let error as SandboxError {
            Terminal.printError("daruma-lab: \(error)")
            throw error.kind == .missingBinaries || error.kind == .launch ? LabExit.unavailable : LabExit.software
        }
    }

    /// Rejects an option outside its range.
    func require<Value: Comparable>(_ option: String, _ value: Value, in range: ClosedRange<Value>) throws {
        guard range.contains(value) else {
            throw ValidationError("\(option) is between \(range.lowerBound) and \(range.upperBound)")
        }
    }
}

/// Exit statuses.
enum LabExit {
    /// sysexits(3): a required program is not installed.
    static let unavailable = ExitCode(69)
    static let software = ExitCode(70)
    static let brokenPromise = ExitCode(1)
    /// A shell's status for Ctrl-C.
    static let interrupted = ExitCode(130)
}

/// Counts separated by commas, all above zero.
struct CountList: ExpressibleByArgument, Sendable {
    let counts: [Int]

    init?(argument: String) {
        let counts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
        guard counts.allSatisfy({ $0 > 0 }) else { return nil }
        self.counts = counts
    }

    init(_ counts: [Int]) { self.counts = counts }

    var defaultValueDescription: String { counts.map { "\($0)" }.joined(separator: ",") }
}

extension Duration {
    /// An option's seconds.
    static func seconds(option: Double) -> Duration { .microseconds(Int64(option * 1e6)) }
}
