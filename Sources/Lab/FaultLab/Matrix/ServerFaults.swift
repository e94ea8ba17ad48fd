import Glibc
import PostgresTestKit

/// Faults of the server: other stops, repeated restarts, a missing database at boot.
extension Fault {
    static let stopImmediate = Fault(
        "stop-immediate", title: "the database is stopped without a checkpoint", ending: "the database is started",
        expecting: .refused, begin: { try await $0.database.stop(.immediate) },
        end: { try await $0.database.start() })

    /// Repeated short outages: each restart begins after a good `/ping`. The servers run at nice 5, because on a small
    /// machine the p99 of `/` would otherwise show the processor time of 20 starting servers.
    static let restarts = Fault(
        "restarts", title: "the database is restarted 20 times in a row", ending: nil, expecting: .unseen,
        setup: FaultSetup(pingClients: 16, niceness: 5),
        begin: { context in
            let sandbox = try context.sandbox()
            var longest = Duration.zero
            for _ in 0..<context.amount(20, quick: 6) {
                longest = max(longest, try await sandbox.restart())
                let isUp = ContinuousClock.now
                let seen = try await context.timeline.first(on: "/ping", within: .seconds(5)) {
                    $0.isGood && $0.begin >= isUp
                }
                guard seen != nil else { throw SandboxError(.service, "no good /ping 5 s after a restart") }
                // On a busy machine a login may take longer than a restart, and one request could hit all of them.
                if context.isQuick { try await context.waitForAffectedRequests() }
            }
            context.note("the longest restart took \(longest.shown); requests wait 750 ms for one")
            context.note("the servers ran at nice \(sandbox.configuration.niceness)")
        })

    /// Restarts without a pause: for clients one long outage.
    static let flapping = Fault(
        "flapping", title: "the database is restarted 20 times without a pause", ending: nil,
        expecting: .tolerated(back: .milliseconds(100)), setup: FaultSetup(pingClients: 16),
        begin: { context in
            let sandbox = try context.sandbox()
            let begin = ContinuousClock.now
            for _ in 0..<20 { try await sandbox.restart() }
            context.note("the 20 restarts took \((ContinuousClock.now - begin).shown)")
        })

    static let boots = [
        Fault(
            "boot-without-database", title: "the service starts without a database",
            ending: "the database is started", expecting: .refused, setup: FaultSetup(boot: .stopped),
            begin: { _ in }, end: { try await $0.database.start() }),
        Fault(
            "boot-in-recovery", title: "the service starts while the database recovers",
            ending: "the database ends its recovery", expecting: .refused, setup: FaultSetup(boot: .recovering),
            begin: { _ in },
            end: { context in
                let sandbox = try context.sandbox()
                try await sandbox.promote()
                try await sandbox.waitForLogins()
            }),
    ]

    /// The write-ahead log is on a full file system: the server ends with a PANIC, and cannot start until space is free.
    static let diskFull = Fault(
        "disk-full", title: "the disk is full, and the database ends with a PANIC",
        ending: "space is freed, and the database is started", expecting: .refused,
        setup: FaultSetup(
            boot: .stopped, needs: [.mount],
            prepare: { context in
                let sandbox = try context.sandbox()
                let log = "\(sandbox.dataFolder)/pg_wal"
                try await sandbox.shell(
                    """
                    mv "$1" "$1.old" && mkdir -m 0700 "$1" && mount -t tmpfs -o size=48m,mode=0700 none "$1"
                    cp -a "$1.old/." "$1" && chown --reference="$1.old" "$1" && rm -rf "$1.old"
                    """, log)
                context.onCleanUp {
                    _ = try? await sandbox.stop(.immediate)
                    try? await sandbox.shell("umount -l \"$1\"", log)
                }
                // Unmounts if this process is killed.
                context.keep(
                    try await CleanupWatchdog(script: "sleep 1; umount -l \"$1\" 2>/dev/null", arguments: [log]))
                try await sandbox.start()
            }),
        begin: { context in
            let sandbox = try context.sandbox()
            try await sandbox.shell("cat /dev/zero >\"$1/filler\" 2>/dev/null || true", "\(sandbox.dataFolder)/pg_wal")
            _ = try? await sandbox.execute(
                "create table filler as select repeat('x', 100) from generate_series(1, 500000)")
            try await context.await("the PANIC") { sandbox.server == nil }
        },
        end: { context in
            let sandbox = try context.sandbox()
            try await sandbox.shell("rm -f \"$1/filler\"", "\(sandbox.dataFolder)/pg_wal")
            try await sandbox.start()
        })

    /// Measures what 200 outages leave behind.
    static let leaks = Fault(
        "leaks", title: "the database is stopped and started 200 times", ending: nil,
        expecting: .tolerated(back: .milliseconds(100)),
        begin: { context in
            let service = try context.service()
            let sandbox = try context.sandbox()
            let timeline = context.timeline
            func outage() async throws {
                try await sandbox.stop(.fast)
                let stopped = ContinuousClock.now
                _ = try await timeline.first(on: "/ping", within: .seconds(5)) { !$0.isGood && $0.end >= stopped }
                try await sandbox.start()
                let started = ContinuousClock.now
                let good = try await timeline.first(on: "/ping", within: .seconds(5)) {
                    $0.isGood && $0.begin >= started
                }
                guard good != nil else { throw SandboxError(.service, "no good /ping 5 s after the start") }
            }
            func usage() -> ProcessUsage? {
                let open = ProcessTable.connections(of: service.id, to: context.databasePorts)
                return service.usage?.without(descriptors: open)
            }
            // The first outages allocate what the service keeps; that is no leak.
            for _ in 0..<context.amount(20, quick: 4) { try await outage() }
            guard let before = usage() else { throw SandboxError(.service, "the service has ended") }
            let count = context.amount(200, quick: 10)
            for _ in 0..<count { try await outage() }
            var after = before
            _ = try await Deadline(in: .seconds(10)).wait(every: .milliseconds(50)) {
                after = usage() ?? after
                return after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads
            }
            let growth = after.residentKilobytes - before.residentKilobytes
            context.check(
                Check(
                    isKept: after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads,
                    text: "after \(count) outages: descriptors \(before.fileDescriptors) → \(after.fileDescriptors), "
                        + "threads \(before.threads) → \(after.threads)"))
            context.check(
                Check(
                    isKept: growth <= 1024,
                    text: "resident memory \(before.residentKilobytes) → \(after.residentKilobytes) kB "
                        + "(at most 1024 kB more)"))
        })
}
