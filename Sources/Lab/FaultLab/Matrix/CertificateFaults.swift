import PostgresTestKit

/// Faults of the server's certificate, which the service verifies (`sslmode=verify-full`).
extension Fault {
    private static func prepare(_ context: FaultContext) async throws {
        let sandbox = try context.sandbox()
        let certificates = try await Certificates(in: try context.folder())
        try await sandbox.install(certificates.good)
        try await sandbox.set(["ssl": "on"])
        context.launch.databaseURL = sandbox.connectionURL(
            host: "localhost", parameters: ["sslmode": "verify-full", "sslrootcert": certificates.root])
    }

    private static func replace(
        by pair: @escaping @Sendable (Certificates) -> Certificates.Pair, terminating: Bool
    ) -> @Sendable (FaultContext) async throws -> Void {
        { context in
            let sandbox = try context.sandbox()
            try await sandbox.install(pair(Certificates(existingIn: try context.folder())))
            try await sandbox.set(["ssl": "on"])  // reloads
            if terminating { try await sandbox.terminateSessions() }
        }
    }

    private static func fault(
        _ name: String, _ title: String, _ pair: @escaping @Sendable (Certificates) -> Certificates.Pair
    ) -> Fault {
        Fault(
            name, title: title, ending: "the good certificate is restored", expecting: .misconfigured,
            setup: FaultSetup(needs: [.openssl], prepare: prepare), begin: replace(by: pair, terminating: true),
            end: replace(by: { $0.good }, terminating: false))
    }

    static let certificates = [
        fault("tls-replaced", "the server's certificate is replaced by a stranger's", { $0.foreign }),
        fault("tls-expired", "the server's certificate has expired", { $0.expired }),
    ]
}
