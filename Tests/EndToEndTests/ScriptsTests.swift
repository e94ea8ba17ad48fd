import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("in what the scripts decide,", .serialized)
    struct ScriptsTests {
        /// Runs `script` with the functions of `scripts/lib.sh`, and returns what it prints.
        private static func run(_ script: String, _ arguments: String...) async throws -> String {
            let scripts = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/scripts"
            let shell = try await ServiceProcess.start(
                ["bash", "-c", "source \"$0\"\n" + script, "\(scripts)/lib.sh"] + arguments)
            #expect(try await shell.waitForExit(within: patience) == .code(0), "\(shell.log)")
            return shell.log
        }

        /// Returns what `need THING` would install. The shell functions in `commands` replace the machine's programs.
        private static func installed(by thing: String, commands: String) async throws -> String {
            let script = """
                install_packages() { printf 'would install:%s\\n' "$*"; }
                \(commands)
                need "$1"
                """
            return try await run(script, thing)
        }

        @Test("the scripts replace python3-minimal by Python, and keep a complete Python")
        func python() async throws {
            let minimal = "python3() { echo \"ModuleNotFoundError: No module named 'http'\" >&2; return 1; }"
            #expect(try await Self.installed(by: "python3", commands: minimal) == "would install:python3\n")
            #expect(try await Self.installed(by: "python3", commands: "python3() { return 0; }").isEmpty)
        }

        private static let scripts = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/scripts"

        @Test("scripts/docker-check says in one line why it is skipped, before it builds anything, and exits with 77")
        func noEngine() async throws {
            // Root without this capability can make no namespaces.
            let asOthers = geteuid() == 0 ? ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin"] : []
            let check = try await ServiceProcess.start(asOthers + ["\(Self.scripts)/docker-check", "--own-engine"])
            #expect(try await check.waitForExit(within: patience) == .code(77), "\(check.log)")
            #expect(check.log.hasPrefix("skipped: no container engine answers, and "), "\(check.log)")
            #expect(check.log.split(separator: "\n").count == 1, "\(check.log)")
        }

        @Test("scripts/chaos --docker says what is missing, before it builds anything")
        func chaosWithoutEngine() async throws {
            let chaos = try await ServiceProcess.start(
                ["\(Self.scripts)/chaos", "--docker"], environment: ["DOCKER_HOST": "unix:///nonexistent/docker.sock"])
            #expect(try await chaos.waitForExit(within: patience) == .code(69), "\(chaos.log)")
            let words = ["docker is missing", "docker compose is missing", "no container engine answers"]
            #expect(words.contains { chaos.log.contains($0) }, "\(chaos.log)")
        }

        @Test(
            "the scripts know the packages of commands with other names",
            arguments: [("strip", "binutils"), ("taskset", "util-linux"), ("h2load", "nghttp2-client")])
        func packages(command: String, package: String) async throws {
            let commands = "command() { return 1; }"
            #expect(
                try await Self.installed(by: command, commands: commands) == "would install:\(package)\n")
        }

        @Test(
            "the scripts ask for Swift 6.3 or later, not for a command of that name",
            arguments: [
                ("5.9", false), ("6.2.4", false), ("6.3", true), ("6.3.1", true), ("6.10", true), ("7.0", true),
            ])
        func swift(version: String, isEnough: Bool) async throws {
            let script = """
                asked=$1
                swift() { printf 'Swift version %s (RELEASE)\\nTarget: x86_64-unknown-linux-gnu\\n' "$asked"; }
                if has_swift; then echo enough; else echo missing; fi
                """
            #expect(try await Self.run(script, version) == (isEnough ? "enough\n" : "missing\n"))
        }

        @Test("the scripts find no Swift where the command fails")
        func noSwift() async throws {
            let script = "swift() { return 127; }\nif has_swift; then echo enough; else echo missing; fi"
            #expect(try await Self.run(script) == "missing\n")
        }

        @Test("the scripts install Prometheus where promtool is missing")
        func promtool() async throws {
            let commands = "command() { [[ $2 != promtool ]]; }"
            #expect(
                try await Self.installed(by: "prometheus", commands: commands) == "would install:prometheus\n")
        }

        /// Returns the lines that the summary of `scripts/test` takes from a log.
        private static func failures(_ log: String, most: Int = 40) async throws -> [Substring] {
            let folder = try TemporaryFolder()
            try Files.write(log, to: "\(folder.path)/log", mode: 0o644)
            return try await run(#"failures "$1" "$2""#, "\(folder.path)/log", "\(most)").split(separator: "\n")
        }

        @Test("the summary names each failed test once, with place, expectation and passes")
        func summary() async throws {
            let lines = try await Self.failures(
                """
                plain/rooms: ◇ Test "counts" started.
                plain/rooms: ✘ Test "counts" recorded an issue at CountTests.swift:7:6: Expectation failed: one == 1
                plain/service: ✔ Test "other" passed after 0.1 seconds.
                plain/rooms: ↳ it should be one
                plain/rooms: ✘ Test "counts" failed after 3.794 seconds with 1 issue.
                plain/rooms: ✘ Suite "Counts" failed after 3.794 seconds with 1 issue.
                plain/rooms: ✘ Test run with 3 tests in 1 suite failed after 4 seconds with 1 issue.
                thread/rooms: ✘ Test "counts" recorded an issue at CountTests.swift:7:6: Expectation failed: one == 1
                thread/rooms: ↳ it should be one
                thread/rooms: ✘ Test "counts" failed after 5.1 seconds with 1 issue.
                address/rooms: ✘ no result (exit 124); the last line: ◇ Test "hangs" started.
                gate: above the baseline: /: instructions 9384 → 9900
                """)
            #expect(
                lines == [
                    """
                    plain/rooms, thread/rooms: ✘ Test "counts" recorded an issue at CountTests.swift:7:6: \
                    Expectation failed: one == 1
                    """,
                    "plain/rooms, thread/rooms:   ↳ it should be one",
                    "plain/rooms, thread/rooms: ✘ Test \"counts\" failed",
                    "address/rooms: ✘ no result (exit 124); the last line: ◇ Test \"hangs\" started.",
                    "gate: above the baseline: /: instructions 9384 → 9900",
                ])
        }

        @Test("the summary ends before it fills the end of a log", arguments: [(3, false), (4, true), (40, true)])
        func longSummary(most: Int, isWhole: Bool) async throws {
            let log = (1...4).map { "plain/rooms: ✘ Test \"number \($0)\" failed after 1 seconds with 1 issue.\n" }
            let lines = try await Self.failures(log.joined(), most: most)
            #expect(lines.count == min(most, 4))
            #expect((lines.last == "… and 2 more lines") == !isWhole)
        }

        @Test("the summary of a good run names no test")
        func goodSummary() async throws {
            let log = "plain/rooms: ✔ Test run with 3 tests in 1 suite passed after 4 seconds.\n"
            #expect(try await Self.failures(log).isEmpty)
        }
    }
}
