public import ArgumentParser
import FaultLab
public import PostgresTestKit

/// Operates a permanent sandbox, as `docker stop` and `docker start` operate a container.
struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "Stops, starts, kills, freezes … the database in a folder.",
        subcommands: [
            Create.self, Start.self, Stop.self, Restart.self, Kill.self, Freeze.self, Thaw.self, Status.self, URL.self,
            Remove.self,
        ])

    struct FolderOption: ParsableArguments {
        @Option(help: "The folder of the database.")
        var folder = ".daruma"
    }

    struct Create: LabCommand {
        static let configuration = CommandConfiguration(
            abstract: "Creates the database if it is missing, starts it, and prints its connection string.")
        @OptionGroup var location: FolderOption

        func perform() async throws {
            let sandbox = try await PostgresSandbox.open(folder: location.folder)
            try await sandbox.start()
            Terminal.print(sandbox.connectionURL())
        }
    }

    struct Start: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Starts it, and waits until logins work.")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws {
            Terminal.print("started in \(try await sandbox.start().shown)")
        }
    }

    struct Stop: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Stops it, and waits for its end.")
        @OptionGroup var location: FolderOption
        @Option(help: "smart waits for sessions to end, fast ends them, immediate skips the checkpoint.")
        var mode = StopMode.fast

        func perform(on sandbox: PostgresSandbox) async throws {
            guard sandbox.server != nil else { return Terminal.print("stopped already") }
            Terminal.print("stopped in \(try await sandbox.stop(mode).shown)")
        }
    }

    struct Restart: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Stops it in mode fast, and starts it.")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws {
            Terminal.print("restarted in \(try await sandbox.restart().shown)")
        }
    }

    struct Kill: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Ends all its processes with SIGKILL.")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws {
            guard sandbox.server != nil else { return Terminal.print("stopped already") }
            try await sandbox.kill()
            Terminal.print("killed")
        }
    }

    struct Freeze: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Halts its processes with SIGSTOP.")
        @OptionGroup var location: FolderOption
        @Flag(help: "Only the postmaster: sessions work, new ones hang.")
        var onlyPostmaster = false

        func perform(on sandbox: PostgresSandbox) async throws {
            try await sandbox.freeze(onlyPostmaster: onlyPostmaster)
            Terminal.print("frozen")
        }
    }

    struct Thaw: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Continues frozen processes (SIGCONT).")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws {
            try await sandbox.thaw()
            Terminal.print("thawed")
        }
    }

    struct Status: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Prints its state; exit status 0 if logins work.")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws {
            let status = await sandbox.status()
            Terminal.print("\(sandbox.host):\(sandbox.port) \(status)")
            guard case .accepting = status else { throw ExitCode(3) }
        }
    }

    struct URL: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Prints its connection string with the password.")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws { Terminal.print(sandbox.connectionURL()) }
    }

    struct Remove: SandboxCommand {
        static let configuration = CommandConfiguration(abstract: "Stops it, and deletes it with all its data.")
        @OptionGroup var location: FolderOption

        func perform(on sandbox: PostgresSandbox) async throws {
            try await sandbox.remove()
            Terminal.print("removed")
        }
    }
}

/// A command on an existing sandbox.
protocol SandboxCommand: LabCommand {
    var location: DatabaseCommand.FolderOption { get }
    func perform(on sandbox: PostgresSandbox) async throws
}

extension SandboxCommand {
    func perform() async throws {
        guard PostgresSandbox.exists(in: location.folder) else {
            throw SandboxError(
                .folder, "\(location.folder) holds no database: scripts/run creates one, and db create does")
        }
        try await perform(on: try await PostgresSandbox.open(folder: location.folder))
    }
}

extension StopMode: ExpressibleByArgument {}
