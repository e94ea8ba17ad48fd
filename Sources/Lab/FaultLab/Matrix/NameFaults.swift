import PostgresTestKit

/// Faults of the name look-up, made by a name server of our own that a service in a mount namespace
/// with its own /etc/resolv.conf asks.
extension Fault {
    private static let name = "database.daruma.test"

    /// Lets the service find its database by name.
    private static func prepareNames(_ stage: FaultContext) async throws {
        try await prepareNames(stage, answering: .address([127, 0, 0, 1]))
    }

    static func prepareNames(_ stage: FaultContext, answering answer: StubNameServer.Answer) async throws {
        let sandbox = try stage.sandbox()
        let server = try StubNameServer(answering: answer)
        stage.enter(names: server)
        stage.onCleanUp { await server.shutDown() }
        let file = "\(try stage.folder())/resolv.conf"
        // No second try and a long wait: a resolver at its worst.
        try Files.write("nameserver \(server.address)\noptions timeout:30 attempts:1\n", to: file, mode: 0o644)
        stage.launch.databaseURL = sandbox.connectionURL(host: name, port: try? stage.relay().port)
        stage.launch.prefix = [
            "/usr/bin/unshare", "-m", "/bin/sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", file,
        ]
    }

    static let names = [
        Fault(
            "name-stalls", title: "each name look-up stalls for 30 s, and all sessions are ended",
            ending: "name look-up answers again", expecting: .silent,
            setup: FaultSetup(
                hold: .seconds(15), quickHold: .seconds(5),
                // A look-up cannot be called off (getaddrinfo(3)): one that has begun lasts until the resolver gives it up,
                // 30 s here. After that nothing may be left of it.
                settling: .seconds(35), needs: [.mountNamespace], prepare: prepareNames),
            begin: { stage in
                stage.remember(try stage.service().usage)
                try stage.names().answer(.silence)
                try await stage.sandbox().terminateSessions()
            },
            end: { stage in
                if let before = stage.remembered, let now = try stage.service().usage {
                    // A thread each for the name and for one who looks whether the others are still needed.
                    stage.verdict(
                        Check(
                            isKept: now.threads <= before.threads + 2,
                            text: "threads \(before.threads) → \(now.threads) while look-ups stalled (at most 2 more)"))
                }
                try stage.names().answer(.address([127, 0, 0, 1]))
            }),
        Fault(
            "name-fails", title: "name look-up fails, and all sessions are ended",
            ending: "name look-up answers again", expecting: .refused,
            setup: FaultSetup(needs: [.mountNamespace], prepare: prepareNames),
            begin: { stage in
                try stage.names().answer(.failure)
                try await stage.sandbox().terminateSessions()
            }, end: { try $0.names().answer(.address([127, 0, 0, 1])) }),
        Fault(
            "name-changes", title: "the database is stopped for good",
            ending: "its name leads to another address, where there is another one", expecting: .refused,
            setup: FaultSetup(
                needs: [.mountNamespace],
                prepare: { stage in
                    try await prepareNames(stage)
                    let second = try await PostgresSandbox.make()
                    stage.enter(second: second)
                    try await second.start()
                    // The same port at another address.
                    let relay = try FaultRelay(
                        to: second.port, on: .init(127, 0, 0, 2), port: stage.sandbox().port)
                    stage.onCleanUp { await relay.shutDown() }
                }),
            begin: { try await $0.database.stop(.fast) },
            end: { try $0.names().answer(.address([127, 0, 0, 2])) }),
    ]
}
