import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("on a machine with missing programs,", .serialized)
    struct ScriptsTests {
        /// Returns what `need THING` would install. The shell functions in `commands` replace the machine's programs.
        private static func installed(by thing: String, commands: String) async throws -> String {
            let scripts = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/scripts"
            let script = """
                source "$0"
                install_packages() { printf 'would install:%s\\n' "$*"; }
                \(commands)
                need "$1"
                """
            let shell = try await ServiceProcess.start(["bash", "-c", script, "\(scripts)/lib.sh", thing])
            #expect(try await shell.waitForExit(within: patience) == .code(0), "\(shell.log)")
            return shell.log
        }

        @Test("the scripts replace python3-minimal by Python, and keep a complete Python")
        func python() async throws {
            let minimal = "python3() { echo \"ModuleNotFoundError: No module named 'http'\" >&2; return 1; }"
            #expect(try await Self.installed(by: "python3", commands: minimal) == "would install:python3\n")
            #expect(try await Self.installed(by: "python3", commands: "python3() { return 0; }").isEmpty)
        }

        @Test(
            "the scripts know the packages of commands with other names",
            arguments: [("strip", "binutils"), ("taskset", "util-linux"), ("h2load", "nghttp2-client")])
        func packages(command: String, package: String) async throws {
            let commands = "command() { return 1; }"
            #expect(
                try await Self.installed(by: command, commands: commands) == "would install:\(package)\n")
        }
    }
}
