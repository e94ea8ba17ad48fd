import DispatchHTTP
import DispatchPostgres
import Logging
import PostgresSession
import Testing

@testable import DarumaService

@Suite struct SettingTests {
    private func settings(
        _ flags: [Setting: String] = [:], _ environment: [String: String] = [:]
    ) throws(SettingError) -> ServiceSettings {
        try ServiceSettings(flags: flags) { environment[$0] }
    }

    @Test("without settings the defaults apply")
    func defaults() throws {
        let settings = try settings()
        #expect(settings.http.port == 8080)
        #expect(settings.pingFailureStatus == 400)
        #expect(settings.pingTimeout == .seconds(1))
        #expect(settings.pool.maximum == 10)
    }

    @Test("an admin port doubles the descriptors for clients")
    func descriptors() throws {
        let limits: [Setting: String] = [
            .httpMaxConnections: "100", .httpReservedConnections: "10", .poolMax: "5",
        ]
        #expect(try settings(limits).mostDescriptors == 147)
        #expect(try settings(limits.merging([.adminPort: "0"]) { $1 }).mostDescriptors == 257)
    }

    @Test("--help names the defaults that apply", arguments: Setting.allCases)
    func documentedDefaults(setting: Setting) throws {
        let documented = setting.defaultText
        guard ![.databaseURL, .poolMaxIdle, .httpMaxStreamBacklog, .adminPort].contains(setting) else { return }
        let applied = try settings([setting: documented])
        #expect("\(applied.http)" == "\(try settings().http)")
        #expect(applied.pool == (try settings().pool))
        #expect(applied.keepsMetrics == (try settings().keepsMetrics))
        #expect(applied.adminHost == (try settings().adminHost))
        #expect(applied.pingTimeout == (try settings().pingTimeout))
        #expect(applied.shutdownTimeout == (try settings().shutdownTimeout))
        #expect(applied.statusMaxViewers == (try settings().statusMaxViewers))
        #expect(applied.readyRequiresDatabase == (try settings().readyRequiresDatabase))
        #expect(applied.livenessLimit == (try settings().livenessLimit))
        #expect(applied.drainDelay == (try settings().drainDelay))
        #expect(applied.accessLog == (try settings().accessLog))
        #expect(applied.logLevel == (try settings().logLevel))
    }

    @Test("a flag wins over DARUMA_PORT, which wins over PORT; an empty variable counts as unset")
    func precedence() throws {
        #expect(try settings([.port: "1"], ["DARUMA_PORT": "2", "PORT": "3"]).http.port == 1)
        #expect(try settings([:], ["DARUMA_PORT": "2", "PORT": "3"]).http.port == 2)
        #expect(try settings([:], ["DARUMA_PORT": "", "PORT": "3"]).http.port == 3)
        #expect(try settings([:], ["DARUMA_PORT": "", "PORT": ""]).http.port == 8080)
    }

    @Test("every setting is read from its variable with the prefix, without a warning", arguments: Setting.allCases)
    func prefixed(setting: Setting) {
        let value = setting.value { $0 == setting.prefixedVariable ? "x" : nil }
        #expect(value?.text == "x" && value?.isDeprecated == false)
    }

    @Test("a bare variable works with a warning, except for the conventional ones")
    func deprecated() throws {
        let old = try settings([:], ["ADMIN_PORT": "9090", "POOL_MAX": "3"])
        #expect(old.adminPort == 9090 && old.pool.maximum == 3)
        #expect(
            old.warnings == [
                "ADMIN_PORT is deprecated; set DARUMA_ADMIN_PORT", "POOL_MAX is deprecated; set DARUMA_POOL_MAX",
            ])
        let conventional = ["HOST": "::1", "PORT": "1", "DATABASE_URL": "host=h", "LOG_LEVEL": "error"]
        #expect(try settings([:], conventional).warnings == [])
        #expect(try settings([:], ["ADMIN_PORT": "1", "DARUMA_ADMIN_PORT": "2"]).warnings == [])
        #expect(try settings([.adminPort: "1"], ["ADMIN_PORT": "2"]).warnings == [])
    }

    @Test(
        "the variables that Kubernetes sets for a Service are ignored",
        arguments: [
            ("ADMIN_PORT", "tcp://10.0.0.1:80"), ("ADMIN_PORT", "udp://10.0.0.1:53"),
            ("ADMIN_PORT", "sctp://10.0.0.1:80"), ("DARUMA_PORT", "tcp://10.0.0.1:80"),
            ("DARUMA_ADMIN_PORT", "tcp://[fd00::1]:80"), ("REUSE_PORT", "tcp://10.0.0.1:80"),
        ])
    func serviceLinks(variable: String, value: String) throws {
        let settings = try settings([:], [variable: value])
        #expect(settings.http.port == 8080 && settings.adminPort == nil && !settings.http.reusePort)
        #expect(settings.warnings == [])
        #expect(try self.settings([:], ["DARUMA_PORT": value, "PORT": "3"]).http.port == 3)
    }

    @Test("a flag is the name in kebab case, a variable in capitals")
    func names() {
        #expect(Setting.poolMaxIdle.flag == "pool-max-idle")
        #expect(Setting.poolMaxIdle.variable == "DARUMA_POOL_MAX_IDLE")
        #expect(Setting.databaseURL.flag == "database-url")
        #expect(Setting.databaseURL.variable == "DATABASE_URL")
        #expect(Set(Setting.allCases.map(\.variable)).count == Setting.allCases.count)
    }

    @Test("the settings accept the kind of value that --help names", arguments: Setting.allCases)
    func valueNames(setting: Setting) throws {
        let taken: [String]
        switch setting.valueName {
        case "address", "url": return
        case "duration": taken = ["250ms", "1s", "1h"]
        case "count", "port": taken = ["5"]
        case "bytes": taken = ["65536"]
        case "status": taken = ["400", "503"]
        case "level": taken = Logger.Level.allCases.map(\.rawValue)
        case let choice: taken = choice.split(separator: "|").map(String.init)
        }
        for text in taken { _ = try settings([setting: text]) }
        for text in ["", "1x", "loud"] {
            #expect(throws: SettingError.self) { try settings([setting: text]) }
        }
    }

    @Test(
        "an invalid value is one line that names its flag or variable",
        arguments: [
            (Setting.port, "99999"), (.port, "http"), (.pingFailureStatus, "500"), (.pingTimeout, "1"),
            (.pingTimeout, "-1s"), (.pingTimeout, "0s"), (.pingTimeout, "soon"), (.poolMax, "0"), (.poolMin, "-1"),
            (.poolIdleTimeout, "5"), (.logLevel, "loud"), (.logFormat, "xml"), (.accessLog, "on"), (.reusePort, "yes"),
            (.httpMaxConnections, "0"), (.readyRequiresDb, "1"), (.livenessLimit, "0s"), (.drainDelay, "5"),
            (.httpMaxHeaderCount, "many"),
            (.statusMaxViewers, "all"),
            (.httpRequestsPerTurn, "0"), (.httpReservedTimeout, "0s"), (.httpMaxStreamBacklog, "-1"),
        ])
    func wrong(setting: Setting, value: String) throws {
        let fromFlag = #expect(throws: SettingError.self) { try settings([setting: value]) }
        #expect(fromFlag?.source == "--\(setting.flag)")
        #expect(fromFlag.map { "\($0)".contains("'\(value)'") && !"\($0)".contains("\n") } ?? false)
        let fromEnvironment = #expect(throws: SettingError.self) { try settings([:], [setting.variable: value]) }
        #expect(fromEnvironment?.source == setting.variable)
    }

    @Test("the settings of the HTTP server set its limits")
    func serverLimits() throws {
        let http = try settings([
            .httpReservedConnections: "1", .httpReservedTimeout: "2ms", .httpBodyTotalTimeout: "3ms",
            .httpWriteTotalTimeout: "4ms", .httpLingerTimeout: "5ms", .httpMaxLingerBytes: "6",
            .httpRequestsPerTurn: "7", .httpMaxPendingOutput: "8", .httpMaxStreamBacklog: "9",
        ]).http
        #expect(http.reservedConnections == 1)
        #expect(http.timeouts.reserved == .milliseconds(2))
        #expect(http.timeouts.body == .milliseconds(3))
        #expect(http.timeouts.write == .milliseconds(4))
        #expect(http.timeouts.linger == .milliseconds(5))
        #expect(http.maxLingerBytes == 6)
        #expect(http.requestsPerTurn == 7)
        #expect(http.maxPendingOutput == 8)
        #expect(http.maxStreamBacklog == 9)
        #expect(try settings().http.maxStreamBacklog == nil)
    }

    @Test("contradictory pool settings are rejected")
    func contradiction() {
        let problem = #expect(throws: SettingError.self) { try settings([.poolMin: "5", .poolMax: "2"]) }
        #expect(problem?.problem.contains("minimum (5)") ?? false)
    }

    @Test("an invalid connection string is not fatal, and the problem does not repeat it")
    func badDatabase() throws {
        let settings = try settings([:], ["DATABASE_URL": "postgres://u:hunter2%zz@h/d"])
        let problem = try #require(settings.database.problem)
        #expect(!"\(problem)".contains("hunter2"))
        #expect(!"\(settings.database)".contains("hunter2"))
    }
}

@Suite struct DurationTextTests {
    @Test(
        "a duration is a number and a unit",
        arguments: [
            ("250ms", Duration.milliseconds(250)), ("1.5s", .milliseconds(1500)), ("5m", .seconds(300)),
            ("2h", .seconds(7200)), ("0s", .zero), (".5s", .milliseconds(500)),
        ])
    func read(text: String, duration: Duration) {
        #expect(Duration(settingText: text) == duration)
    }

    @Test(
        "any other text is rejected",
        arguments: ["", "s", "5", "5 s", "-1s", "1d", "1e3s", "1..2s", "99999999999999h", "infs"])
    func refused(text: String) {
        #expect(Duration(settingText: text) == nil)
    }

    @Test(
        "the precision of a duration's text depends on its length",
        arguments: [
            (Duration.milliseconds(3), "3 ms"), (.milliseconds(999), "999 ms"), (.milliseconds(1000), "1 s"),
            (.milliseconds(1250), "1.25 s"), (.milliseconds(1009), "1 s"), (.seconds(250), "4 min 10 s"),
            (.seconds(7500), "2 h 5 min"),
        ])
    func written(duration: Duration, text: String) {
        #expect(duration.text == text)
    }
}
