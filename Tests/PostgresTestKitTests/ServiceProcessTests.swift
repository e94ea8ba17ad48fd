import Glibc
import PostgresTestKit
import Testing

@Suite("A service process", .timeLimit(.minutes(1)))
struct ServiceProcessTests {
    private static func shell(_ script: String, _ environment: [String: String?] = [:]) async throws -> ServiceProcess {
        try await ServiceProcess.start(["sh", "-c", script], environment: environment)
    }

    @Test(
        "returns the port from the line that announces it, in text and in JSON",
        arguments: [
            "info daruma: listening on http://127.0.0.1:43210 pool=10",
            #"{"level":"info","message":"listening on http:\/\/127.0.0.1:43210"}"#,
            #"{"message":"listening on http://127.0.0.1:43210","level":"info"}"#,
        ])
    func port(_ line: String) async throws {
        let service = try await Self.shell("echo starting; echo \"$LINE\" >&2; exec sleep 60", ["LINE": line])
        #expect(try await service.waitUntilListening() == 43210)
        #expect(service.isRunning)
        #expect(try await service.stop() == .signal(SIGTERM))
        #expect(!service.isRunning)
    }

    @Test("that ends instead of listening fails with the end of its log")
    func endsEarly() async throws {
        let service = try await Self.shell("echo 'no such setting' >&2; exit 64")
        let error = await #expect(throws: SandboxError.self) { try await service.waitUntilListening() }
        #expect(error?.description.contains("exit 64") == true)
        #expect(error?.description.contains("no such setting") == true)
        #expect(try await service.waitForExit() == .code(64))
    }

    @Test("whose command does not exist fails with one clear error")
    func missing() async throws {
        let error = await #expect(throws: SandboxError.self) {
            try await ServiceProcess.start(["/nonexistent/daruma", "serve"])
        }
        #expect(error?.kind == .service)
        #expect(error?.message.contains("/nonexistent/daruma") == true)
    }

    @Test("that ignores SIGTERM gets SIGKILL after the limit")
    func ignoresSignal() async throws {
        let service = try await Self.shell("trap '' TERM; echo ready; while :; do sleep 1; done")
        #expect(try await Deadline(in: .seconds(10)).wait { service.log.contains("ready") })
        #expect(try await service.stop(within: .milliseconds(300)) == .signal(SIGKILL))
    }

    @Test("runs for as long as a body, and must then exit with 0")
    func whileRunning() async throws {
        let script = "trap 'exit $STATUS' TERM; echo ready; while :; do sleep 0.01; done"
        for status in [0, 3] {
            let service = try await Self.shell(script, ["STATUS": "\(status)"])
            func run() async throws -> Int {
                try await service.whileRunning {
                    try await eventually("the service is ready") { service.log.contains("ready") }
                    return 7
                }
            }
            if status == 0 {
                #expect(try await run() == 7)
            } else {
                let error = await #expect(throws: SandboxError.self) { try await run() }
                #expect(error?.message.contains("exit 3") == true)
            }
            #expect(!service.isRunning)
        }
    }

    @Test("reports its descriptors, threads and memory from /proc")
    func usage() async throws {
        let service = try await Self.shell("exec 7</dev/null; echo ready; exec sleep 60")
        #expect(try await Deadline(in: .seconds(10)).wait { ProcessTable.arguments(of: service.id).first == "sleep" })
        let usage = try #require(service.usage)
        #expect(usage.fileDescriptors == 4)
        #expect(usage.threads == 1)
        #expect(usage.residentKilobytes > 0)
        try await service.stop()
        #expect(service.usage == nil)
    }

    @Test("ends when its owner is killed")
    func orphan() async throws {
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            let service = try await ServiceProcess.start(["sleep", "600"])
            print("\nservice \(service.id) \(service.logPath)")
            fflush(nil)
            kill(getpid(), SIGKILL)
        }
        let output = String(decoding: try #require(result).standardOutputContent, as: UTF8.self)
        let line = try #require(output.split(separator: "\n").first { $0.hasPrefix("service ") })
        let words = line.split(separator: " ").map(String.init)
        let id = try #require(Int32(words[1]))
        #expect(
            try await Deadline(in: .seconds(20)).wait {
                ProcessTable.entry(id)?.hasEnded != false && !exists(words[2])
            }, "the service or its log outlived its owner")
    }
}
