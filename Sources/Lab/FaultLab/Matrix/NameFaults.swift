import PostgresTestKit

/// Faults of name resolution. The service runs in a mount namespace whose /etc/resolv.conf names our name server.
extension Fault {
    private static let name = "database.daruma.test"
    private static let first = StubNameServer.Resolution.addresses([[127, 0, 0, 1]])

    /// Gives the database a name.
    private static func prepareNames(_ context: FaultContext) async throws {
        try await prepareNames(context, resolving: first)
    }

    static func prepareNames(_ context: FaultContext, resolving result: StubNameServer.Resolution) async throws {
        let sandbox = try context.sandbox()
        let server = try StubNameServer(resolving: result)
        context.use(names: server)
        context.onCleanUp { await server.shutDown() }
        let file = "\(try context.folder())/resolv.conf"
        // The worst resolver: one attempt, with a long timeout.
        try Files.write("nameserver \(server.address)\noptions timeout:30 attempts:1\n", to: file, mode: 0o644)
        context.launch.databaseURL = sandbox.connectionURL(host: name, port: try? context.relay().port)
        context.launch.prefix = [
            "/usr/bin/unshare", "-m", "/bin/sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", file,
        ]
    }

    static let names = [
        Fault(
            "name-stalls", title: "each name look-up stalls for 30 s, and all sessions are ended",
            ending: "name look-up answers again", expecting: .silent,
            setup: FaultSetup(
                hold: .seconds(15), quickHold: .seconds(5),
                // getaddrinfo(3) cannot be cancelled: a look-up lasts until the resolver gives up after 30 s. After
                // that, nothing of it may remain.
                settling: .seconds(35), needs: [.mountNamespace], prepare: prepareNames),
            begin: { context in
                context.remember(try context.service().usage)
                try context.names().resolve(to: .silence)
                try await context.sandbox().terminateSessions()
            },
            end: { context in
                if let before = context.remembered, let now = try context.service().usage {
                    // One thread for the look-up, and one that checks whether the others are still needed.
                    context.check(
                        Check(
                            isKept: now.threads <= before.threads + 2,
                            text: "threads \(before.threads) → \(now.threads) while look-ups stalled (at most 2 more)"))
                }
                try context.names().resolve(to: first)
            }),
        Fault(
            "name-fails", title: "name look-up fails, and all sessions are ended",
            ending: "name look-up answers again", expecting: .refused,
            setup: FaultSetup(needs: [.mountNamespace], prepare: prepareNames),
            begin: { context in
                try context.names().resolve(to: .failure)
                try await context.sandbox().terminateSessions()
            }, end: { try $0.names().resolve(to: first) }),
        Fault(
            "name-changes", title: "the database is stopped and stays so",
            ending: "its name gets the address of another database", expecting: .refused,
            setup: FaultSetup(
                needs: [.mountNamespace],
                prepare: { context in
                    try await prepareNames(context)
                    let second = try await PostgresSandbox.make()
                    context.use(second: second)
                    try await second.start()
                    // The same port on another address.
                    let relay = try FaultRelay(
                        to: second.port, on: .init(127, 0, 0, 2), port: context.sandbox().port)
                    context.onCleanUp { await relay.shutDown() }
                }),
            begin: { try await $0.database.stop(.fast) },
            end: { try $0.names().resolve(to: .addresses([[127, 0, 0, 2]])) }),
    ]
}
