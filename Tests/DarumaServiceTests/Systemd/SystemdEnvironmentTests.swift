import DarumaService
import Testing

@Suite("what a service manager says")
struct SystemdEnvironmentTests {
    static func read(_ variables: [String: String], processID: Int32 = 42) throws -> SystemdEnvironment {
        try SystemdEnvironment(processID: processID) { variables[$0] }
    }

    @Test("nothing, or nothing but empty variables, is no manager", arguments: SystemdEnvironment.variables)
    func nothing(_ name: String) throws {
        #expect(try Self.read([:]) == SystemdEnvironment())
        #expect(try Self.read([name: ""]) == SystemdEnvironment())
    }

    @Test("sockets begin at descriptor 3 and have the names of the unit")
    func sockets() throws {
        let environment = try Self.read([
            "LISTEN_FDS": "2", "LISTEN_PID": "42", "LISTEN_FDNAMES": "daruma.socket:admin",
        ])
        #expect(environment.sockets.map(\.descriptor) == [3, 4])
        #expect(environment.sockets.map(\.name) == ["daruma.socket", "admin"])
    }

    @Test("names that are missing or too few are unknown", arguments: [nil, "one", ""])
    func names(_ names: String?) throws {
        var variables = ["LISTEN_FDS": "2", "LISTEN_PID": "42"]
        variables["LISTEN_FDNAMES"] = names
        #expect(try Self.read(variables).sockets.map(\.name) == ["unknown", "unknown"])
    }

    @Test("what is meant for another process is not taken", arguments: ["41", "", "nonsense", nil])
    func otherProcess(_ processID: String?) throws {
        var variables = ["LISTEN_FDS": "1"]
        variables["LISTEN_PID"] = processID
        #expect(try Self.read(variables).sockets == [])
    }

    @Test("the watchdog's time is for the process that it names, or for whoever reads it")
    func watchdog() throws {
        #expect(try Self.read(["WATCHDOG_USEC": "30000000"]).watchdogTimeout == .seconds(30))
        #expect(try Self.read(["WATCHDOG_USEC": "5000", "WATCHDOG_PID": "42"]).watchdogTimeout == .milliseconds(5))
        #expect(try Self.read(["WATCHDOG_USEC": "5000", "WATCHDOG_PID": "41"]).watchdogTimeout == nil)
    }

    @Test(
        "what cannot be read is named",
        arguments: [
            ("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "-1"), ("LISTEN_FDS", "-1"),
            ("LISTEN_FDS", "lots"), ("LISTEN_FDS", "65"), ("NOTIFY_SOCKET", "vsock:2:1234"), ("NOTIFY_SOCKET", "@"),
            ("NOTIFY_SOCKET", "/" + String(repeating: "x", count: 107)),
        ])
    func malformed(_ name: String, _ value: String) {
        let problem = #expect(throws: SystemdError.self) { try Self.read(["LISTEN_PID": "42", name: value]) }
        #expect(problem?.description.hasPrefix("\(name): ") == true)
    }
}

@Suite("what a service manager is told")
struct PendingNotificationTests {
    @Test("of each variable the latest value, one in a line")
    func latest() {
        var outbox = PendingNotification()
        #expect(outbox.isEmpty)
        outbox.put(.status, "starting")
        outbox.put(.watchdog)
        outbox.put(.status, "serving")
        outbox.put(.ready)
        #expect(outbox.message == "READY=1\nSTATUS=serving\nWATCHDOG=1")
        outbox.clear()
        #expect(outbox.isEmpty)
    }

    @Test("a line break in a value does not become a variable of its own", arguments: ["a\nREADY=1", "a\r\nREADY=1"])
    func injection(_ text: String) {
        var outbox = PendingNotification()
        outbox.put(.status, text)
        #expect(outbox.message == "STATUS=a READY=1")
    }
}
