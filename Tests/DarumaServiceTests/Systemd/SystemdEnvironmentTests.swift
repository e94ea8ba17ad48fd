import DarumaService
import Testing

@Suite("the environment from systemd")
struct SystemdEnvironmentTests {
    static func read(_ variables: [String: String], processID: Int32 = 42) throws -> SystemdEnvironment {
        try SystemdEnvironment(processID: processID) { variables[$0] }
    }

    @Test("unset and empty variables mean no systemd", arguments: SystemdEnvironment.variables)
    func nothing(_ name: String) throws {
        #expect(try Self.read([:]) == SystemdEnvironment())
        #expect(try Self.read([name: ""]) == SystemdEnvironment())
    }

    @Test("sockets start at descriptor 3 and have the unit's names")
    func sockets() throws {
        let environment = try Self.read([
            "LISTEN_FDS": "2", "LISTEN_PID": "42", "LISTEN_FDNAMES": "daruma.socket:admin",
        ])
        #expect(environment.sockets.map(\.descriptor) == [3, 4])
        #expect(environment.sockets.map(\.name) == ["daruma.socket", "admin"])
    }

    @Test("missing or too few names are unknown", arguments: [nil, "one", ""])
    func names(_ names: String?) throws {
        var variables = ["LISTEN_FDS": "2", "LISTEN_PID": "42"]
        variables["LISTEN_FDNAMES"] = names
        #expect(try Self.read(variables).sockets.map(\.name) == ["unknown", "unknown"])
    }

    @Test("variables for another process are ignored", arguments: ["41", "", "nonsense", nil])
    func otherProcess(_ processID: String?) throws {
        var variables = ["LISTEN_FDS": "1"]
        variables["LISTEN_PID"] = processID
        #expect(try Self.read(variables).sockets == [])
    }

    @Test("the watchdog applies to the named process, or to any")
    func watchdog() throws {
        #expect(try Self.read(["WATCHDOG_USEC": "30000000"]).watchdogTimeout == .seconds(30))
        #expect(try Self.read(["WATCHDOG_USEC": "5000", "WATCHDOG_PID": "42"]).watchdogTimeout == .milliseconds(5))
        #expect(try Self.read(["WATCHDOG_USEC": "5000", "WATCHDOG_PID": "41"]).watchdogTimeout == nil)
    }

    @Test(
        "an error names the invalid variable",
        arguments: [
            ("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "-1"), ("LISTEN_FDS", "-1"),
            ("LISTEN_FDS", "lots"), ("LISTEN_FDS", "65"), ("NOTIFY_SOCKET", "vsock:2:1234"), ("NOTIFY_SOCKET", "@"),
            ("NOTIFY_SOCKET", "/" + String(repeating: "x", count: 107)),
        ])
    func malformed(_ name: String, _ value: String) {
        let problem = #expect(throws: SettingError.self) { try Self.read(["LISTEN_PID": "42", name: value]) }
        #expect(problem?.description.hasPrefix("\(name): ") == true)
    }
}

@Suite("pending notifications")
struct PendingNotificationTests {
    @Test("hold the latest value of each variable, one per line")
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

    @Test("do not let a line break in a value begin another variable", arguments: ["a\nREADY=1", "a\r\nREADY=1"])
    func injection(_ text: String) {
        var outbox = PendingNotification()
        outbox.put(.status, text)
        #expect(outbox.message == "STATUS=a READY=1")
    }
}
