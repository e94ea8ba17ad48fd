import DarumaService
import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("under systemd,", .serialized)
    struct SystemdTests {
        @Test("reports readiness, heartbeat, the state of the database and the shutdown")
        func notifies() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                let folder = try TemporaryFolder()
                let manager = try Manager("\(folder.path)/notify")
                let process = try await manager.start(
                    sandbox.connectionURL(), ["WATCHDOG_USEC": "200000", "WATCHDOG_PID": nil])
                #expect(try await manager.receives("READY=1"))
                #expect(manager.messages.first?.contains("READY=1") == true)
                #expect(try await manager.receives("STATUS=serving; the database is up"))
                try await sandbox.stop()
                // Needs no request: the pool notices the end of its idle session.
                #expect(try await manager.receives("STATUS=serving; the database is down: ECONNREFUSED"))
                try await sandbox.start()
                #expect(try await manager.receives("STATUS=serving; the database is up"))
                // A stuck loop sends no heartbeat.
                #expect(try await manager.receives("WATCHDOG=1"))
                process.signal(SIGSTOP)
                let isStopped = try await Deadline(in: patience).wait {
                    ProcessTable.entry(process.id)?.isStopped ?? false
                }
                #expect(isStopped)
                manager.receiveAll()
                manager.forget()
                try await Task.sleep(for: .milliseconds(400))
                manager.receiveAll()
                #expect(manager.messages == [])
                process.signal(SIGCONT)
                #expect(try await manager.receives("WATCHDOG=1"))
                process.signal(SIGTERM)
                #expect(try await manager.receives("STOPPING=1"))
                #expect(try await process.waitForExit(within: patience) == .code(0))
                manager.receiveAll()
                #expect(!manager.messages.contains { $0.contains("READY=1") }, "READY=1 after the stop")
            }
        }

        @Test("an abstract name works, without a database and without a watchdog")
        func abstractName() async throws {
            let manager = try Manager("@daruma-test-\(getpid())-\(UInt32.random(in: 0 ... .max))")
            let process = try await manager.start("postgres://admin@127.0.0.1:1/mydb", ["WATCHDOG_USEC": nil])
            #expect(try await manager.receives("READY=1"))
            #expect(try await manager.receives("STATUS=serving; the database is down: ECONNREFUSED"))
            process.signal(SIGTERM)
            #expect(try await manager.receives("STOPPING=1"))
            #expect(try await process.waitForExit(within: patience) == .code(0))
            manager.receiveAll()
            #expect(!manager.messages.contains { $0.contains("WATCHDOG") })
        }

        @Test("an invalid WATCHDOG_USEC is one line and exit code 64")
        func unreadable() async throws {
            let process = try await ServiceProcess.start(
                [try ServiceProcess.darumaBinary(), "serve", "--port=0"], environment: ["WATCHDOG_USEC": "soon"])
            #expect(try await process.waitForExit(within: patience) == .code(64))
            #expect(process.log.contains("WATCHDOG_USEC: 'soon' is not a number of microseconds"))
        }

        /// systemd-socket-activate passes on only the named variables; the sanitizers need their own.
        private static let launcher = [
            "systemd-socket-activate", "-E", "TSAN_OPTIONS", "-E", "ASAN_OPTIONS", "-E", "SWIFT_BACKTRACE",
        ]

        /// systemd-socket-activate listens, and executes the service when the first client connects.
        @Test("serves inherited sockets, and clients that connected before it started")
        func socketActivation() async throws {
            let (port, adminPort) = (try PortReservation.unreserved(), try PortReservation.unreserved())
            let process = try await ServiceProcess.start(
                Self.launcher + [
                    "--listen=127.0.0.1:\(port)", "--listen=127.0.0.1:\(adminPort)",
                    "--fdname=daruma.socket:admin", "-E", "DATABASE_URL=postgres://admin@127.0.0.1:1/mydb",
                    try ServiceProcess.darumaBinary(), "serve", "--host=192.0.2.1", "--port=1",
                ])
            #expect(try await Deadline(in: patience).wait { process.log.contains("as 4.") }, "\(process.log)")
            #expect(!process.log.contains("inherited socket"))
            // The first one starts the service; the others wait in the kernel.
            let exchanges = await offCooperativeThreads {
                let probes = (0..<8).map { _ in HTTPProbe(port: port, limit: patience) }
                let unsent = probes.compactMap { $0.send("/") }
                return unsent + probes.map { $0.receive() }
            }
            #expect(exchanges.map(\.summary) == Array(repeating: "200", count: 8))
            #expect(await HTTPProbe.get("/livez", port: adminPort, limit: patience).isGood)
            let lines = ["\(port) on an inherited socket", "\(adminPort) (admin) on an inherited socket"]
            // The log is written asynchronously.
            let areLogged = try await Deadline(in: patience).wait {
                lines.allSatisfy { process.log.contains("listening on http://127.0.0.1:\($0)") }
            }
            #expect(areLogged, "\(process.log)")
            #expect(try await process.stop(within: patience) == .code(0), "\(process.log)")
        }

        @Test("an unsuitable socket is one line and exit code 69")
        func wrongSocket() async throws {
            let folder = try TemporaryFolder()
            let path = "\(folder.path)/socket"
            let process = try await ServiceProcess.start(
                Self.launcher + [
                    "--listen=\(path)", try ServiceProcess.darumaBinary(), "serve",
                ])
            #expect(try await Deadline(in: patience).wait { process.log.contains("as 3.") }, "\(process.log)")
            let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            defer { close(client) }
            #expect(try NotifyAddress(path).withSockAddr { connect(client, $0, $1) } == 0)
            #expect(try await process.waitForExit(within: patience) == .code(69))
            #expect(
                process.log.contains("cannot listen on descriptor 3: the socket is not one of TCP"), "\(process.log)")
        }
    }
}

/// systemd's end of the notification socket.
private final class Manager {
    private let name: String
    private let descriptor: Int32
    private(set) var messages: [String] = []

    init(_ name: String) throws {
        self.name = name
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        let isBound = try NotifyAddress(name).withSockAddr { bind(descriptor, $0, $1) == 0 }
        try #require(isBound)
    }

    deinit { close(descriptor) }

    func start(_ databaseURL: String, _ environment: [String: String?]) async throws -> ServiceProcess {
        try await ServiceProcess.start(
            [try ServiceProcess.darumaBinary(), "serve", "--host=127.0.0.1", "--port=0"],
            environment: environment.merging(["DATABASE_URL": databaseURL, "NOTIFY_SOCKET": name]) { given, _ in given }
        )
    }

    /// Receives the pending messages.
    func receiveAll() {
        var bytes = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            guard count >= 0 else { return }
            messages.append(String(decoding: bytes[..<count], as: UTF8.self))
        }
    }

    func forget() { messages = [] }

    /// Waits for a message that contains `words`, and removes the earlier ones.
    func receives(_ words: String) async throws -> Bool {
        try await Deadline(in: patience).wait {
            receiveAll()
            guard let index = messages.firstIndex(where: { $0.contains(words) }) else { return false }
            messages = Array(messages[index...])
            return true
        }
    }
}
