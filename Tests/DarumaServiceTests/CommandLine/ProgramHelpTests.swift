import Testing

@testable import DarumaService

@Suite struct ProgramHelpTests {
    private static let brew = Command(
        name: "brew", summary: "Make tea.", discussion: "Water is not included, nor is the cup that it is poured into.",
        options: [
            Option(
                name: "leaf", valueName: "name",
                help: "Which leaf to take, of those that are there. (default:\u{A0}oolong)"),
            Option(name: "steep-time-in-all", valueName: "duration", help: "How long."),
        ])
    private static let pour = Command(name: "pour", summary: "Pour it into a cup.", options: [])
    private let program = Program(
        name: "tea", summary: "Tea, from leaf to cup.", discussion: "There is milk, too.", version: "1",
        commands: brew, pour)

    @Test("a command's help has summary, usage and options")
    func command() {
        let expected = """
            Make tea.

            Usage: tea brew [options]

            Water is not included, nor is the cup that it is
            poured into.

            Options:
              --leaf <name>     Which leaf to take, of those
                                that are there.
                                (default: oolong)
              --steep-time-in-all <duration>
                                How long.
              --version         Show the version.
              -h, --help        Show this help.
            """
        #expect(program.help(for: Self.brew, width: 50) == expected)
    }

    @Test("the program's help lists its commands")
    func wholeProgram() {
        let expected = """
            Tea, from leaf to cup.

            Usage: tea [command] [options]

            There is milk, too.

            Commands:
              brew  Make tea. (default)
              pour  Pour it into a cup.

            Options:
              --version   Show the version.
              -h, --help  Show this help.

            tea help <command> shows the options of a command.
            """
        #expect(program.help(for: nil, width: 80) == expected)
    }

    @Test("no line is longer than the width", arguments: [50, 64, 80, 100])
    func width(width: Int) {
        let lines = program.help(for: Self.brew, width: width).split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= width })
    }
}
