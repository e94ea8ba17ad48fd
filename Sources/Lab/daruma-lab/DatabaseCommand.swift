import ArgumentParser
import FaultLab
import PostgresTestKit

/// The switch of the permanent sandbox: what `docker stop` and `docker start` are to a container.
struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "Stops, starts, kills, freezes … the database in a folder.",
        subcommands: [
            Create.self, Start.self, Stop.self, Restart.self, Kill.self, Freeze.self, Thaw.self, Status.self, URL.self,
            Remove.self,
        ])

    /// Which sandbox is meant.
    struct Place: ParsableArguments {
        @Option(help: "The folder of the database.")
        var folder = ".daruma"

        func open() async throws -> PostgresSandbox {
            guard PostgresSandbox.exists(in: folder) else {
                throw SandboxError(.folder, "there is no database in \(folder): scripts/run makes one, or db create")
            }
            return try await PostgresSandbox.open(folder: folder)
        }

        func operate(_ body: @escaping @Sendable (PostgresSandbox) async throws -> Void) async throws {
            let place = self
            try await LabExit.run { try await body(try await place.open()) }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes the database if it is missing, starts it, and prints its connection string.")
        @OptionGroup var place: Place

        func run() async throws {
            let folder = place.folder
            try await LabExit.run {
                let sandbox = try await PostgresSandbox.open(folder: folder)
                try await sandbox.start()
                Terminal.say(sandbox.connectionURL())
            }
        }
    }

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Starts it, and waits until logins work.")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { Terminal.say("started in \(try await $0.start().shown)") }
        }
    }

    struct Stop: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops it, and waits for its end.")
        @OptionGroup var place: Place
        @Option(help: "smart waits for sessions to end, fast ends them, immediate ends without a checkpoint.")
        var mode = StopMode.fast

        func run() async throws {
            let mode = self.mode
            try await place.operate { sandbox in
                guard sandbox.server != nil else { return Terminal.say("stopped already") }
                Terminal.say("stopped in \(try await sandbox.stop(mode).shown)")
            }
        }
    }

    struct Restart: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops it fast and starts it.")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { Terminal.say("restarted in \(try await $0.restart().shown)") }
        }
    }

    struct Kill: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Ends all its processes with SIGKILL.")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { sandbox in
                guard sandbox.server != nil else { return Terminal.say("stopped already") }
                try await sandbox.kill()
                Terminal.say("killed")
            }
        }
    }

    struct Freeze: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Halts its processes with SIGSTOP.")
        @OptionGroup var place: Place
        @Flag(help: "Only the postmaster: sessions work, new ones hang.")
        var onlyPostmaster = false

        func run() async throws {
            let onlyPostmaster = self.onlyPostmaster
            try await place.operate { sandbox in
                try await sandbox.freeze(onlyPostmaster: onlyPostmaster)
                Terminal.say("frozen")
            }
        }
    }

    struct Thaw: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets frozen processes go on (SIGCONT).")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { sandbox in
                try await sandbox.thaw()
                Terminal.say("thawed")
            }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Says what it is doing; exit code 0 if logins work.")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { sandbox in
                let status = await sandbox.status()
                Terminal.say("\(sandbox.host):\(sandbox.port) \(status)")
                guard case .accepting = status else { throw ExitCode(3) }
            }
        }
    }

    struct URL: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints its connection string, password included.")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { Terminal.say($0.connectionURL()) }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Stops it and deletes it with all its data.")
        @OptionGroup var place: Place

        func run() async throws {
            try await place.operate { sandbox in
                try await sandbox.remove()
                Terminal.say("removed")
            }
        }
    }
}

extension StopMode: ExpressibleByArgument {}
