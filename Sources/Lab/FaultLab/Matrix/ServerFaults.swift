import Glibc
import PostgresTestKit

/// Faults of the server: stopped in further ways, restarted again and again, or not there to begin with.
extension Fault {
    static let stopImmediate = Fault(
        "stop-immediate", title: "the database is stopped without a checkpoint", ending: "the database is started",
        expecting: .refused, begin: { try await $0.database.stop(.immediate) },
        end: { try await $0.database.start() })

    /// Each one an outage of its own, shorter than the grace: the next begins as soon as a client has seen
    /// the database again. The servers give way to the load: starting them is the lab's work, and on a small machine it would
    /// be their processor time that the p99 of `/` shows.
    static let restarts = Fault(
        "restarts", title: "the database is restarted 20 times in a row", ending: nil, expecting: .unseen,
        setup: FaultSetup(pingClients: 16, niceness: 5),
        begin: { stage in
            let sandbox = try stage.sandbox()
            var longest = Duration.zero
            for _ in 0..<stage.amount(20, quick: 6) {
                longest = max(longest, try await sandbox.restart())
                let isUp = ContinuousClock.now
                let seen = try await stage.timeline.first(on: "/ping", within: .seconds(5)) {
                    $0.isGood && $0.begin >= isUp
                }
                guard seen != nil else { throw SandboxError(.service, "no good /ping 5 s after a restart") }
                // On a machine so busy that logging in takes longer than a restart, one request could miss all of them.
                if stage.isQuick { try await stage.letStruckRequestsEnd() }
            }
            stage.note("the longest restart took \(longest.shown); requests wait 750 ms for one")
            stage.note("the servers ran at nice \(sandbox.configuration.niceness), so that they gave way to the load")
        })

    /// So fast that nobody has the time to find it in between: one long outage, as far as clients can tell.
    static let flapping = Fault(
        "flapping", title: "the database is restarted 20 times without a pause", ending: nil,
        expecting: .tolerated(back: .milliseconds(100)), setup: FaultSetup(pingClients: 16),
        begin: { stage in
            let sandbox = try stage.sandbox()
            let begin = ContinuousClock.now
            for _ in 0..<20 { try await sandbox.restart() }
            stage.note("the 20 restarts took \((ContinuousClock.now - begin).shown)")
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
            end: { stage in
                let sandbox = try stage.sandbox()
                try await sandbox.promote()
                try await sandbox.waitForLogins()
            }),
    ]

    /// The write-ahead log on a file system that is full: a PANIC, and no start until there is room again.
    static let diskFull = Fault(
        "disk-full", title: "the disk is full, and the database ends with a PANIC",
        ending: "there is room again, and the database is started", expecting: .refused,
        setup: FaultSetup(
            boot: .stopped, needs: [.mount],
            prepare: { stage in
                let sandbox = try stage.sandbox()
                let log = "\(sandbox.dataFolder)/pg_wal"
                try await sandbox.shell(
                    """
                    mv "$1" "$1.old" && mkdir -m 0700 "$1" && mount -t tmpfs -o size=48m,mode=0700 none "$1"
                    cp -a "$1.old/." "$1" && chown --reference="$1.old" "$1" && rm -rf "$1.old"
                    """, log)
                stage.onCleanUp {
                    _ = try? await sandbox.stop(.immediate)
                    try? await sandbox.shell("umount -l \"$1\"", log)
                }
                // However this process ends.
                stage.keep(try await CleanupWatchdog(script: "sleep 1; umount -l \"$1\" 2>/dev/null", arguments: [log]))
                try await sandbox.start()
            }),
        begin: { stage in
            let sandbox = try stage.sandbox()
            try await sandbox.shell("cat /dev/zero >\"$1/filler\" 2>/dev/null || true", "\(sandbox.dataFolder)/pg_wal")
            _ = try? await sandbox.execute(
                "create table filler as select repeat('x', 100) from generate_series(1, 500000)")
            try await stage.await("the PANIC") { sandbox.server == nil }
        },
        end: { stage in
            let sandbox = try stage.sandbox()
            try await sandbox.shell("rm -f \"$1/filler\"", "\(sandbox.dataFolder)/pg_wal")
            try await sandbox.start()
        })

    /// What 200 outages leave behind.
    static let leaks = Fault(
        "leaks", title: "the database is stopped and started 200 times", ending: nil,
        expecting: .tolerated(back: .milliseconds(100)),
        begin: { stage in
            let service = try stage.service()
            let sandbox = try stage.sandbox()
            let timeline = stage.timeline
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
                let open = ProcessTable.connections(of: service.id, to: stage.databasePorts)
                return service.usage?.without(descriptors: open)
            }
            // What is allocated once, and then kept, is no leak.
            for _ in 0..<stage.amount(20, quick: 4) { try await outage() }
            guard let before = usage() else { throw SandboxError(.service, "the service has ended") }
            let count = stage.amount(200, quick: 10)
            for _ in 0..<count { try await outage() }
            var after = before
            _ = try await Deadline(in: .seconds(10)).wait(every: .milliseconds(50)) {
                after = usage() ?? after
                return after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads
            }
            let growth = after.residentKilobytes - before.residentKilobytes
            stage.verdict(
                Check(
                    isKept: after.fileDescriptors <= before.fileDescriptors && after.threads <= before.threads,
                    text: "after \(count) outages: descriptors \(before.fileDescriptors) → \(after.fileDescriptors), "
                        + "threads \(before.threads) → \(after.threads)"))
            stage.verdict(
                Check(
                    isKept: growth <= 1024,
                    text: "resident memory \(before.residentKilobytes) → \(after.residentKilobytes) kB "
                        + "(at most 1024 kB more)"))
        })
}
