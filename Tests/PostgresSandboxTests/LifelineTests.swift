import Glibc
import PostgresSandbox
import Testing

@Suite("the watchdog", .timeLimit(.minutes(3)))
struct LifelineTests {
    @Test("cleans up after a maker that was killed with SIGKILL")
    func killedMaker() async throws {
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let sandbox = try await PostgresSandbox.make()
            try await sandbox.start()
            announce(sandbox)
            kill(getpid(), SIGKILL)
        }
        try await expectNothingLeft(by: result)
    }

    @Test("survives Ctrl-C to the maker's process group, and cleans up after it")
    func interruptedMaker() async throws {
        let result = await #expect(processExitsWith: .signal(SIGINT), observing: [\.standardOutputContent]) {
            // A group of its own, as a shell gives a job, so that the interrupt does not meet the tests.
            setpgid(0, 0)
            let sandbox = try await PostgresSandbox.make()
            try await sandbox.start()
            announce(sandbox)
            kill(0, SIGINT)
        }
        try await expectNothingLeft(by: result)
    }

    @Test("also ends a server that its maker had frozen")
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

    private func expectNothingLeft(by result: ExitTest.Result?) async throws {
        let output = String(decoding: try #require(result).standardOutputContent, as: UTF8.self)
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("sandbox ") })
        let words = line.split(separator: " ").map(String.init)
        let id = try #require(Int32(words[1]))
        #expect(
            try await Deadline(in: .seconds(30)).wait(every: .milliseconds(20)) {
                !exists(words[2]) && ProcessTable.entry(id)?.hasEnded != false
            }, "the server or its folder is still there")
    }
}

/// Tells the observing test which server and folder to look for.
private func announce(_ sandbox: PostgresSandbox) {
    print("\nsandbox \(sandbox.server?.id ?? 0) \(sandbox.folder)")
    fflush(nil)
}
