import Glibc

/// PostgreSQL's server binaries. Debian installs them outside PATH, in one folder per version.
package struct PostgresBinaries: Sendable {
    /// The folder that holds `initdb`, `postgres` and `psql`.
    package let folder: String

    static let needed = ["postgres", "initdb", "psql"]

    /// Searches PATH, then Debian's folders from the newest version, then the folder that `pg_config` names.
    package static func find() async throws -> PostgresBinaries {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let pathFolders = path.split(separator: ":").map(String.init)
        // PATH may hold a link to `postgres` alone; the target's folder holds the other binaries.
        let linked = pathFolders.compactMap { Files.canonical("\($0)/postgres") }.map { $0.droppingLastComponent }
        let debian = Files.names(in: "/usr/lib/postgresql").compactMap(Int.init).sorted(by: >)
            .map { "/usr/lib/postgresql/\($0)/bin" }
        for folder in pathFolders + linked + debian where isComplete(folder) {
            return PostgresBinaries(folder: folder)
        }
        if let config = pathFolders.map({ "\($0)/pg_config" }).first(where: Files.isExecutable),
            let output = try? await Command(executable: config, arguments: ["--bindir"]).run(),
            let folder = output.split(separator: "\n").first.map(String.init), isComplete(folder)
        {
            return PostgresBinaries(folder: folder)
        }
        throw SandboxError(
            .missingBinaries,
            "PostgreSQL's server is not installed (looked for postgres, initdb and psql in PATH and "
                + "/usr/lib/postgresql): apt-get install postgresql")
    }

    static func isComplete(_ folder: String) -> Bool {
        needed.allSatisfy { Files.isExecutable("\(folder)/\($0)") }
    }

    func path(_ name: String) -> String { "\(folder)/\(name)" }
}

extension String {
    /// The folder of a path.
    var droppingLastComponent: String {
        guard let slash = lastIndex(of: "/"), slash != startIndex else { return "/" }
        return String(self[..<slash])
    }
}
