import Foundation
import Glibc
import PostgresTestKit
import Testing

@Suite("The watchdog", .timeLimit(.minutes(3)))
struct CleanupWatchdogTests {
    @Test("cleans up after SIGKILL to its owner")
    func killedMaker() async throws {
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let sandbox = try await PostgresSandbox.make()
            try await sandbox.start()
            announce(sandbox)
            kill(getpid(), SIGKILL)
        }
        try await expectNothingLeft(by: result)
    }

    @Test("survives Ctrl-C to its owner's process group, and cleans up")
    func interruptedMaker() async throws {
        let result = await #expect(processExitsWith: .signal(SIGINT), observing: [\.standardOutputContent]) {
            // In its own process group, like a shell's job, so that the signal does not reach the tests.
            setpgid(0, 0)
            let sandbox = try await PostgresSandbox.make()
            try await sandbox.start()
            announce(sandbox)
            kill(0, SIGINT)
        }
        try await expectNothingLeft(by: result)
    }

    @Test("frees a killed server's shared memory if the owner dies before starting it again")
    func killedServer() async throws {
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let sandbox = try await PostgresSandbox.make()
            try await sandbox.start()
            try await sandbox.kill()
            let segment = try Segment(of: sandbox)
            announce(sandbox, segment: segment)
            kill(getpid(), SIGKILL)
        }
        let words = try await expectNothingLeft(by: result)
        #expect(words[3] != "0")
        #expect(!(try Segment.all()).contains(words[3]))
    }

    @Test("ends a frozen server")
    func frozenServer() async throws {
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let sandbox = try await PostgresSandbox.make()
            try await sandbox.start()
            try await sandbox.freeze()
            announce(sandbox)
            kill(getpid(), SIGKILL)
        }
        try await expectNothingLeft(by: result)
    }

    @discardableResult
    private func expectNothingLeft(by result: ExitTest.Result?) async throws -> [String] {
        let output = String(decoding: try #require(result).standardOutputContent, as: UTF8.self)
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("sandbox ") })
        let words = line.split(separator: " ").map(String.init)
        let id = try #require(Int32(words[1]))
        #expect(
            try await Deadline(in: .seconds(30)).wait(every: .milliseconds(20)) {
                !exists(words[2]) && ProcessTable.entry(id)?.hasEnded != false
            }, "the server or its folder still exists")
        return words
    }
}

/// Prints the server, folder and shared memory for the observing test.
private func announce(_ sandbox: PostgresSandbox, segment: Segment? = nil) {
    print("\nsandbox \(sandbox.server?.id ?? 0) \(sandbox.folder) \(segment?.id ?? "0")")
    fflush(nil)
}

/// The id of a System V shared memory segment.
private struct Segment {
    let id: String

    /// The seventh line of postmaster.pid names it.
    init(of sandbox: PostgresSandbox) throws {
        let lines = try String(contentsOfFile: "\(sandbox.dataFolder)/postmaster.pid", encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
        id = try #require(lines[6].split(separator: " ").last.map(String.init))
    }

    static func all() throws -> [String] {
        try String(contentsOfFile: "/proc/sysvipc/shm", encoding: .utf8).split(separator: "\n").dropFirst()
            .map { String($0.split(separator: " ")[1]) }
    }
}
