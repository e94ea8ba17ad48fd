import Glibc
import PostgresTestKit

/// Faults of the service's own environment.
extension Fault {
    static let ownLimits = [
        Fault(
            "clock-jumps", title: "the database is stopped, and the service's clock jumps an hour ahead",
            ending: "the clock jumps two hours back, and the database is started", expecting: .refused,
            setup: FaultSetup(
                needs: [.libfaketime],
                prepare: { context in
                    let file = "\(try context.folder())/clock"
                    try Files.write("+0\n", to: file, mode: 0o644)
                    context.launch.environment = [
                        "LD_PRELOAD": FaultRequirement.clockLibrary ?? "", "FAKETIME_TIMESTAMP_FILE": file,
                        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
                    ]
                }),
            begin: { context in
                try Files.write("+1h\n", to: "\(try context.folder())/clock")
                try await context.database.stop(.fast)
            },
            end: { context in
                try Files.write("-1h\n", to: "\(try context.folder())/clock")
                try await context.database.start()
            }),
        Fault(
            "service-stopped", title: "the service itself is halted (SIGSTOP)", ending: "the service goes on (SIGCONT)",
            expecting: .absent, setup: FaultSetup(hold: .seconds(10), quickHold: .seconds(3)),
            begin: { try $0.service().signal(SIGSTOP) }, end: { try $0.service().signal(SIGCONT) }),
        Fault(
            "descriptors", title: "idle clients take the service's 64 descriptors, and sessions are ended",
            ending: "the clients leave", expecting: .tolerated(back: .seconds(1)),
            setup: FaultSetup(
                prepare: { context in
                    context.launch.prefix = ["/bin/sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"]
                }),
            begin: { context in
                let address = try context.address()
                let crowd = await offCooperativeThreads { IdleCrowd(of: 100, at: address) }
                context.keep(crowd)
                try await context.sandbox().terminateSessions()
                let service = try context.service()
                let before = service.usage?.processorTime ?? .zero
                try await context.pause(.seconds(2))
                let used = (service.usage?.processorTime ?? .zero) - before
                context.note("\(crowd.count) idle clients connected")
                context.check(
                    Check(
                        isKept: used <= .seconds(1),
                        text: "it used \(used.shown) of processor time in 2 s (at most 1 s: it must not spin)"))
            }, end: { $0.release() }),
        Fault(
            "log-unread", title: "the database is stopped, and no process reads the service's full log pipe",
            ending: "the database is started", expecting: .refused,
            setup: FaultSetup(
                prepare: { context in
                    let path = "\(try context.folder())/log"
                    context.keep(try FullPipe(at: path))
                    context.launch.prefix = ["/bin/sh", "-c", "exec \"$@\" >\"$0\" 2>&1", path]
                }),
            begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() }),
    ]
}

/// Clients that connect and send nothing.
private final class IdleCrowd: Sendable {
    private let sockets: [DeadlineSocket]

    init(of count: Int, at address: ServiceAddress) {
        sockets = (0..<count).compactMap { _ in
            try? DeadlineSocket(host: address.host, port: address.port, deadline: Deadline(in: .milliseconds(200)))
        }
    }

    var count: Int { sockets.count }
}

/// A named pipe that is full and never read.
private final class FullPipe: Sendable {
    private let descriptor: Int32

    init(at path: String) throws {
        guard mkfifo(path, 0o600) == 0 else {
            throw SandboxError(.folder, "cannot create the pipe \(path): \(SandboxError.systemMessage)")
        }
        // Opened for reading and writing, so that open(2) does not wait for a peer.
        descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        let chunk = [UInt8](repeating: UInt8(ascii: "\n"), count: 4096)
        while descriptor >= 0, write(descriptor, chunk, chunk.count) > 0 {}
    }

    deinit { close(descriptor) }
}
