import PostgresTestKit

/// Faults of the server's certificate, with a service that verifies it (`sslmode=verify-full`).
extension Fault {
    private static func prepare(_ stage: FaultContext) async throws {
        let sandbox = try stage.sandbox()
        let certificates = try await Certificates(in: try stage.folder())
        try await sandbox.install(certificates.good)
        try await sandbox.set(["ssl": "on"])
        stage.launch.databaseURL = sandbox.connectionURL(
            host: "localhost", parameters: ["sslmode": "verify-full", "sslrootcert": certificates.root])
    }

    private static func replace(
        by pair: @escaping @Sendable (Certificates) -> Certificates.Pair, terminating: Bool
    ) -> @Sendable (FaultContext) async throws -> Void {
        { stage in
            let sandbox = try stage.sandbox()
            try await sandbox.install(pair(Certificates(existingIn: try stage.folder())))
            try await sandbox.set(["ssl": "on"])  // which reloads
            if terminating { try await sandbox.terminateSessions() }
        }
    }

    private static func fault(
        _ name: String, _ title: String, _ pair: @escaping @Sendable (Certificates) -> Certificates.Pair
    ) -> Fault {
        Fault(
            name, title: title, ending: "the good certificate is back", expecting: .misconfigured,
            setup: FaultSetup(needs: [.openssl], prepare: prepare), begin: replace(by: pair, terminating: true),
            end: replace(by: { $0.good }, terminating: false))
    }

    static let certificates = [
        fault("tls-replaced", "the server's certificate is replaced by a stranger's", { $0.foreign }),
        fault("tls-expired", "the server's certificate has expired", { $0.expired }),
    ]
}
