import Glibc
import PostgresTestKit

/// Faults of the service's own surroundings.
extension Fault {
    static let ownLimits = [
        Fault(
            "clock-jumps", title: "the database is stopped, and the service's clock jumps an hour ahead",
            ending: "the clock jumps two hours back, and the database is started", expecting: .refused,
            setup: FaultSetup(
                needs: [.libfaketime],
                prepare: { stage in
                    let file = "\(try stage.folder())/clock"
                    try Files.write("+0\n", to: file, mode: 0o644)
                    stage.launch.environment = [
                        "LD_PRELOAD": FaultRequirement.clockLibrary ?? "", "FAKETIME_TIMESTAMP_FILE": file,
                        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
                    ]
                }),
            begin: { stage in
                try Files.write("+1h\n", to: "\(try stage.folder())/clock")
                try await stage.database.stop(.fast)
            },
            end: { stage in
                try Files.write("-1h\n", to: "\(try stage.folder())/clock")
                try await stage.database.start()
            }),
        Fault(
            "service-stopped", title: "the service itself is halted (SIGSTOP)", ending: "the service goes on (SIGCONT)",
            expecting: .absent, setup: FaultSetup(hold: .seconds(10), quickHold: .seconds(3)),
            begin: { try $0.service().signal(SIGSTOP) }, end: { try $0.service().signal(SIGCONT) }),
        Fault(
            "descriptors", title: "the service's 64 descriptors are taken by idle clients, and sessions are ended",
            ending: "the clients leave", expecting: .tolerated(back: .seconds(1)),
            setup: FaultSetup(
                prepare: { stage in
                    stage.launch.prefix = ["/bin/sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"]
                }),
            begin: { stage in
                let address = try stage.address()
                let crowd = await offCooperativeThreads { IdleCrowd(of: 100, at: address) }
                stage.keep(crowd)
                try await stage.sandbox().terminateSessions()
                let service = try stage.service()
                let before = service.usage?.processorTime ?? .zero
                try await stage.pause(.seconds(2))
                let used = (service.usage?.processorTime ?? .zero) - before
                stage.note("\(crowd.count) idle clients got in")
                stage.verdict(
                    Check(
                        isKept: used <= .seconds(1),
                        text: "it used \(used.shown) of processor time in 2 s (at most half: no spin)"))
            }, end: { $0.release() }),
        Fault(
            "log-unread", title: "the database is stopped, and nobody reads the service's full log pipe",
            ending: "the database is started", expecting: .refused,
            setup: FaultSetup(
                prepare: { stage in
                    let path = "\(try stage.folder())/log"
                    stage.keep(try FullPipe(at: path))
                    stage.launch.prefix = ["/bin/sh", "-c", "exec \"$@\" >\"$0\" 2>&1", path]
                }),
            begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() }),
    ]
}

/// Clients that connect and say nothing.
private final class IdleCrowd: Sendable {
    private let sockets: [DeadlineSocket]

    init(of count: Int, at address: ServiceAddress) {
        sockets = (0..<count).compactMap { _ in
            try? DeadlineSocket(host: address.host, port: address.port, deadline: Deadline(in: .milliseconds(200)))
        }
    }

    var count: Int { sockets.count }
}

/// A named pipe that is full to begin with and never read.
private final class FullPipe: Sendable {
    private let descriptor: Int32

    init(at path: String) throws {
        guard mkfifo(path, 0o600) == 0 else {
            throw SandboxError(.folder, "cannot make the pipe \(path): \(String(cString: strerror(errno)))")
        }
        // For both directions, so that neither side waits for the other to open it.
        descriptor = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC)
        let chunk = [UInt8](repeating: UInt8(ascii: "\n"), count: 4096)
        while descriptor >= 0, write(descriptor, chunk, chunk.count) > 0 {}
    }

    deinit { close(descriptor) }
}
