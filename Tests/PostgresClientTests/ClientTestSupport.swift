import DispatchLoop
import PostgresClient
import PostgresTestKit
import Testing

/// Runs `body` with a running client, and shuts it down.
func withClient<Value>(
    _ url: String, _ change: (inout PostgresClient.Settings) -> Void = { _ in },
    _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    var settings = PostgresClient.Settings()
    // All tests run on one busy machine: no limit of theirs measures it.
    settings.timeout = .seconds(20)
    settings.pool.outageGrace = .seconds(20)
    change(&settings)
    let client = PostgresClient(ConnectionConfiguration(url), settings: settings)
    let run = Task { await client.run() }
    do {
        let value = try await body(client)
        await client.shutDown()
        await run.value
        return value
    } catch {
        await client.shutDown()
        throw error
    }
}

/// A client of the shared server.
func withSharedClient<Value>(
    _ change: (inout PostgresClient.Settings) -> Void = { _ in }, _ body: (PostgresClient) async throws -> Value
) async throws -> Value {
    try await withClient(try await SharedSandbox.get().connectionURL(), change, body)
}

/// A role that sets everything otherwise that determines how values are written. A superuser, for `lc_messages`.
func hostileURL() async throws -> String {
    let sandbox = try await SharedSandbox.get()
    try await Hostile.role.make(in: sandbox)
    return sandbox.connectionURL(user: "hostile", password: "pw")
}

private actor Hostile {
    static let role = Hostile()
    private var making: Task<Void, any Error>?

    func make(in sandbox: PostgresSandbox) async throws {
        let task =
            making
            ?? Task {
                try await sandbox.execute(
                    """
                    create role hostile superuser login password 'pw';
                    alter role hostile set datestyle = 'German, MDY';
                    alter role hostile set intervalstyle = 'sql_standard';
                    alter role hostile set timezone = 'Asia/Kathmandu';
                    alter role hostile set bytea_output = 'escape';
                    alter role hostile set extra_float_digits = -10;
                    alter role hostile set client_encoding = 'LATIN1';
                    alter role hostile set lc_messages = 'C.UTF-8';
                    alter role hostile set xmlbinary = 'hex';
                    alter role hostile set standard_conforming_strings = off;
                    alter role hostile set backslash_quote = on;
                    """)
            }
        making = task
        try await task.value
    }
}

/// A generator for one run of a property, whose seed a failure prints.
func seeded(_ name: String, _ seed: UInt64 = .random(in: 0 ... .max)) -> (SplitMix64, Comment) {
    print("\(name): seed \(seed)")
    return (SplitMix64(seed: seed), "seed \(seed)")
}

/// Opened once, for tests that wait for each other.
actor Latch {
    private var isOpen = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    func open() {
        isOpen = true
        for waiter in waiters { waiter.resume() }
        waiters = []
    }

    func wait() async {
        if isOpen { return }
        await withCheckedContinuation { waiters.append($0) }
    }
}
