import Testing

@testable import DarumaService

@Suite struct ProgramReadingTests {
    private static let brew = Command(
        name: "brew", summary: "Make tea.",
        options: [
            Option(name: "leaf", valueName: "name", help: "Which leaf."),
            Option(name: "steep-time", valueName: "duration", help: "How long."),
            Option(name: "hot", valueName: "true|false", help: "Whether it is hot."),
        ])
    private static let pour = Command(
        name: "pour", summary: "Pour it.", options: [Option(name: "cup", valueName: "name", help: "Where to.")])
    private let program = Program(name: "tea", summary: "Tea.", version: "1.2.3", commands: brew, pour)

    private func values(_ arguments: String...) throws -> [String: String]? {
        guard case .run(_, let values) = try program.read(arguments) else { return nil }
        return values
    }

    private func problem(_ arguments: [String]) -> String? {
        #expect(throws: UsageError.self) { try program.read(arguments) }?.description
    }

    @Test("without a command the default one runs")
    func defaultCommand() throws {
        #expect(try program.read([]) == .run(Self.brew, values: [:]))
        #expect(try program.read(["--leaf", "oolong"]) == .run(Self.brew, values: ["leaf": "oolong"]))
        #expect(try program.read(["brew", "--leaf", "oolong"]) == .run(Self.brew, values: ["leaf": "oolong"]))
        #expect(try program.read(["pour", "--cup", "blue"]) == .run(Self.pour, values: ["cup": "blue"]))
    }

    @Test("a value follows the option or an equals sign, and the last one counts")
    func forms() throws {
        #expect(try values("--leaf", "a", "--steep-time=3m") == ["leaf": "a", "steep-time": "3m"])
        #expect(try values("--leaf=a=b") == ["leaf": "a=b"])
        #expect(try values("--leaf", "a", "--leaf=b", "--leaf", "c") == ["leaf": "c"])
        #expect(try values("--hot", "true", "--") == ["hot": "true"])
        #expect(try values("--leaf", "brew") == ["leaf": "brew"])
        #expect(try values("--leaf=--hot") == ["leaf": "--hot"])
    }

    @Test("a negative number, a lone dash and an empty argument are values")
    func unusualValues() throws {
        #expect(try values("--leaf", "-1") == ["leaf": "-1"])
        #expect(try values("--leaf", "-") == ["leaf": "-"])
        #expect(try values("--leaf", "") == ["leaf": ""])
    }

    @Test(
        "a missing value is an error that names the option and its kind of value",
        arguments: [["--leaf"], ["--leaf="], ["--leaf", "--hot", "true"], ["--leaf", "--"], ["brew", "--hot", "-x"]])
    func missingValue(arguments: [String]) throws {
        let usage = arguments.contains("brew") ? "--hot <true|false>" : "--leaf <name>"
        #expect(problem(arguments)?.hasPrefix("no value for '\(usage)' (see tea ") ?? false)
    }

    @Test(
        "unknown options and arguments are errors that name them",
        arguments: [
            (["--laef", "a"], "unknown option '--laef' (see tea --help)"),
            (
                ["brew", "--steeptime=3m"],
                "unknown option '--steeptime' (see tea brew --help)"
            ),
            (["--STEEP_TIME=3m"], "unknown option '--STEEP_TIME' (see tea --help)"),
            (["-leaf", "a"], "unknown option '-leaf' (see tea --help)"),
            (["--nonsense"], "unknown option '--nonsense' (see tea --help)"),
            (["-p", "3"], "unknown option '-p' (see tea --help)"),
            (["pour", "--leaf", "a"], "unknown option '--leaf' (see tea pour --help)"),
            (["--help=me"], "unknown option '--help' (see tea --help)"),
            (["bre"], "unexpected argument 'bre' (see tea --help)"),
            (["pour", "brew"], "unexpected argument 'brew' (see tea pour --help)"),
            (["--leaf", "a", "brew"], "unexpected argument 'brew' (see tea --help)"),
            (["--", "--leaf"], "unexpected argument '--leaf' (see tea --help)"),
            (["brew", "--", "--help"], "unexpected argument '--help' (see tea brew --help)"),
            (["-"], "unexpected argument '-' (see tea --help)"),
            ([""], "unexpected argument '' (see tea --help)"),
            (["help", "por"], "unexpected argument 'por' (see tea --help)"),
        ])
    func unknown(arguments: [String], text: String) {
        #expect(problem(arguments) == text)
    }

    @Test("the error names the first of several problems")
    func firstMistake() {
        #expect(problem(["--laef", "a", "--nonsense"])?.contains("'--laef'") ?? false)
    }

    @Test(
        "an error repeats no secret and has one line",
        arguments: [
            ["postgres://tom:s3cret@host/db"], ["--leaf", "a", "host=h password=s3cret"], ["pour", "s3cret\nline"],
            ["--laef=s3cret"], ["--postgres://tom:s3cret@host"], ["help", "s3cret or so"],
        ])
    func secrets(arguments: [String]) {
        let text = problem(arguments)
        #expect(text.map { !$0.contains("s3cret") && !$0.contains("\n") } ?? false, "\(text ?? "none")")
    }

    @Test("help and version win over all other arguments")
    func help() throws {
        #expect(try program.read(["--help"]) == .help(nil))
        #expect(try program.read(["-h"]) == .help(nil))
        #expect(try program.read(["help"]) == .help(nil))
        #expect(try program.read(["brew", "--help"]) == .help(Self.brew))
        #expect(try program.read(["help", "pour"]) == .help(Self.pour))
        #expect(try program.read(["--leaf", "a", "-h"]) == .help(Self.brew))
        #expect(try program.read(["pour", "--nonsense", "-h"]) == .help(Self.pour))
        #expect(try program.read(["--version"]) == .version)
        #expect(try program.read(["pour", "--version"]) == .version)
    }
}
