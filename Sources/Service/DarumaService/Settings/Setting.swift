import DispatchHTTP
import DispatchPostgres
import HTTP1
import Logging
import PostgresSession

/// The settings: flag, default, meaning and reading of each.
package enum Setting: String, CaseIterable, Sendable {
    case host, port, adminPort, adminHost, databaseURL
    case pingTimeout, pingFailureStatus
    case readyRequiresDb, livenessLimit, drainDelay, shutdownTimeout
    case poolMin, poolMax, poolMaxIdle, poolIdleTimeout, poolMaxLifetime, poolKeepalive
    case connectTimeout, loginTimeout, outageGrace, silenceTimeout, checkTimeout
    case httpMaxConnections, httpReservedConnections, httpReservedTimeout
    case httpHeaderTimeout, httpBodyTimeout, httpBodyTotalTimeout, httpIdleTimeout
    case httpWriteTimeout, httpWriteTotalTimeout, httpLingerTimeout, httpMaxLingerBytes, httpDrainGrace
    case httpMaxRequestLine, httpMaxHeaderBytes, httpMaxHeaderCount, httpMaxBody
    case httpRequestsPerTurn, httpMaxPendingOutput, httpMaxStreamBacklog, httpBacklog, reusePort
    case statusMaxViewers, metrics
    case logLevel, logFormat, accessLog

    /// The flag without its dashes: `poolMaxIdle` is `pool-max-idle`.
    package var flag: String { words.joined(separator: "-") }

    var words: [String] {
        if self == .databaseURL { return ["database", "url"] }
        var words = [""]
        for character in rawValue {
            if character.isUppercase { words.append("") }
            words[words.count - 1] += character.lowercased()
        }
        return words
    }

    /// The meaning, for `--help`.
    package var meaning: String { description.meaning }

    /// The default, for `--help`.
    package var defaultText: String { description.default }

    /// The kind of its value, for `--help`.
    package var valueName: String {
        switch self {
        case .host, .adminHost: "address"
        case .port, .adminPort: "port"
        case .databaseURL: "url"
        case .pingFailureStatus: "status"
        case .readyRequiresDb, .reusePort, .metrics: "true|false"
        case .livenessLimit, .drainDelay, .outageGrace, .poolIdleTimeout, .poolMaxLifetime, .poolKeepalive,
            .pingTimeout, .shutdownTimeout, .connectTimeout, .loginTimeout, .silenceTimeout, .checkTimeout,
            .httpReservedTimeout, .httpHeaderTimeout, .httpBodyTimeout, .httpBodyTotalTimeout, .httpIdleTimeout,
            .httpWriteTimeout, .httpWriteTotalTimeout, .httpLingerTimeout, .httpDrainGrace:
            "duration"
        case .poolMin, .poolMax, .poolMaxIdle, .httpMaxConnections, .httpReservedConnections, .httpMaxHeaderCount,
            .httpRequestsPerTurn, .httpBacklog, .statusMaxViewers:
            "count"
        case .httpMaxLingerBytes, .httpMaxRequestLine, .httpMaxHeaderBytes, .httpMaxBody, .httpMaxPendingOutput,
            .httpMaxStreamBacklog:
            "bytes"
        case .logLevel: "level"
        case .logFormat: "text|json"
        case .accessLog: "off|all|without-health"
        }
    }

    private var description: (meaning: String, default: String) {
        switch self {
        case .host:
            (
                "Address to listen on: an IPv4 or IPv6 address, a host name, localhost, or * (or ::) for all.",
                "*"
            )
        case .port: ("Port to listen on; 0 lets the system choose.", "8080")
        case .adminPort: ("Separate port for /metrics and /status; 0 lets the system choose.", "the same port")
        case .adminHost: ("Address of the admin port, as for host.", "localhost")
        case .databaseURL:
            (
                "The database: postgres://user:password@host:port/database, or libpq's keyword=value pairs.",
                "libpq's own PGHOST, PGUSER …"
            )
        case .pingTimeout: ("Deadline of /ping, including the wait for a connection.", "1s")
        case .pingFailureStatus: ("Status of a failed /ping: 400 or 503.", "400")
        case .readyRequiresDb: ("Whether /readyz fails while the database is down: true or false.", "false")
        case .livenessLimit: ("How late the event loop may be, three times in a row, before /livez fails.", "5s")
        case .drainDelay:
            ("How long to serve after SIGTERM while /readyz fails and every answer says Connection: close.", "0s")
        case .shutdownTimeout: ("Graceful shutdown timeout, after the drain delay.", "5s")
        case .poolMin: ("Minimum number of connections to the database.", "1")
        case .poolMax: ("Maximum number of connections to the database.", "10")
        case .poolMaxIdle: ("Maximum number of idle connections.", "as pool-max")
        case .poolIdleTimeout: ("How long a connection above pool-min may be idle; 0s means no limit.", "5m")
        case .poolMaxLifetime: ("How long a connection may live, ±10 %; 0s means no limit.", "30m")
        case .poolKeepalive: ("How long a connection may be idle before the pool checks it; 0s means never.", "30s")
        case .connectTimeout: ("Timeout for reaching a database server, including name resolution.", "5s")
        case .loginTimeout: ("Timeout for a login after a server has accepted the connection.", "60s")
        case .outageGrace: ("How long requests wait for a lost database before failing.", "750ms")
        case .silenceTimeout:
            ("Silence of a query after which the pool suspects its connection; more on a slow database.", "300ms")
        case .checkTimeout:
            ("Silence of a suspected connection after which the pool asks the kernel about its network path.", "250ms")
        case .httpMaxConnections: ("Maximum number of client connections.", "10000")
        case .httpReservedConnections:
            ("Further connections for health checks only; other requests on them get 503.", "16")
        case .httpReservedTimeout: ("How long a client on a reserved connection may keep the service waiting.", "2s")
        case .httpHeaderTimeout: ("Timeout for a request's header, from its first byte.", "10s")
        case .httpBodyTimeout: ("How long a client may pause within a request body.", "30s")
        case .httpBodyTotalTimeout: ("Timeout for a whole request body.", "2m")
        case .httpIdleTimeout: ("How long a client's connection may be idle before and between requests.", "75s")
        case .httpWriteTimeout: ("How long a client may accept no byte of a response.", "30s")
        case .httpWriteTotalTimeout: ("How long responses may wait for a client to read them.", "2m")
        case .httpLingerTimeout: ("How long to wait for a client to close after its last response.", "2s")
        case .httpMaxLingerBytes: ("How much to read and discard meanwhile, in bytes.", "4194304")
        case .httpDrainGrace: ("How long a quiet connection stays open after SIGTERM and the drain delay.", "1s")
        case .httpMaxRequestLine: ("Maximum length of a request line, in bytes.", "8192")
        case .httpMaxHeaderBytes: ("Maximum size of a header, in bytes.", "16384")
        case .httpMaxHeaderCount: ("Maximum number of header fields.", "100")
        case .httpMaxBody: ("Maximum size of a request body, in bytes.", "1048576")
        case .httpRequestsPerTurn: ("Pipelined requests served before other clients get their turn.", "32")
        case .httpMaxPendingOutput:
            ("Unsent response bytes of a connection above which its next request waits.", "65536")
        case .httpMaxStreamBacklog:
            ("Unsent bytes of an event stream above which its client is dropped.", "as http-max-pending-output")
        case .httpBacklog: ("Backlog of the listening socket.", "1024")
        case .reusePort: ("Let further processes listen on the same port: true or false.", "false")
        case .statusMaxViewers: ("Maximum number of pages that watch /status live.", "500")
        case .metrics: ("Keep metrics and serve them at /metrics: true or false.", "true")
        case .logLevel: ("Minimum log level: trace, debug, info, notice, warning, error or critical.", "info")
        case .logFormat: ("Format of log lines: text or json.", "text")
        case .accessLog: ("Log each request on standard output: off, all or without-health.", "off")
        }
    }

    /// Reads `text` into `settings`. Returns the problem, if any.
    func apply(_ text: String, to settings: inout ServiceSettings) -> String? {
        switch self {
        case .host: settings.http.host = text == "*" ? "" : text
        case .port: return number(text, 0...65_535) { settings.http.port = UInt16($0) }
        case .adminPort: return number(text, 0...65_535) { settings.adminPort = UInt16($0) }
        case .adminHost: settings.adminHost = text == "*" ? "" : text
        case .databaseURL: settings.database = ConnectionConfiguration(text)
        case .pingTimeout: return duration(text) { settings.pingTimeout = $0 }
        case .pingFailureStatus:
            guard text == "400" || text == "503" else { return "'\(text)' is not 400 or 503" }
            settings.pingFailureStatus = text == "400" ? 400 : 503
        case .readyRequiresDb: return bool(text) { settings.readyRequiresDatabase = $0 }
        case .livenessLimit: return duration(text) { settings.livenessLimit = $0 }
        case .drainDelay: return durationOrForever(text) { settings.drainDelay = $0 ?? .zero }
        case .shutdownTimeout: return duration(text) { settings.shutdownTimeout = $0 }
        case .poolMin: return number(text, 0...10_000) { settings.pool.minimum = $0 }
        case .poolMax: return number(text, 1...10_000) { settings.pool.maximum = $0 }
        case .poolMaxIdle: return number(text, 0...10_000) { settings.pool.maximumIdle = $0 }
        case .poolIdleTimeout: return durationOrForever(text) { settings.pool.idleTimeout = $0 }
        case .poolMaxLifetime: return durationOrForever(text) { settings.pool.maximumLifetime = $0 }
        case .poolKeepalive: return durationOrForever(text) { settings.pool.keepalive = $0 }
        case .connectTimeout: return duration(text) { settings.pool.connectTimeout = $0 }
        case .loginTimeout: return duration(text) { settings.pool.loginTimeout = $0 }
        case .outageGrace: return durationOrForever(text) { settings.pool.outageGrace = $0 ?? .zero }
        case .silenceTimeout: return duration(text) { settings.pool.silenceTimeout = $0 }
        case .checkTimeout: return duration(text) { settings.pool.checkTimeout = $0 }
        case .httpMaxConnections: return number(text, 1...1_000_000) { settings.http.maxConnections = $0 }
        case .httpReservedConnections: return number(text, 0...1_000_000) { settings.http.reservedConnections = $0 }
        case .httpReservedTimeout: return duration(text) { settings.http.timeouts.reserved = $0 }
        case .httpHeaderTimeout: return duration(text) { settings.http.timeouts.head = $0 }
        case .httpBodyTimeout: return duration(text) { settings.http.timeouts.bodyStall = $0 }
        case .httpBodyTotalTimeout: return duration(text) { settings.http.timeouts.body = $0 }
        case .httpIdleTimeout: return duration(text) { settings.http.timeouts.idle = $0 }
        case .httpWriteTimeout: return duration(text) { settings.http.timeouts.writeStall = $0 }
        case .httpWriteTotalTimeout: return duration(text) { settings.http.timeouts.write = $0 }
        case .httpLingerTimeout: return duration(text) { settings.http.timeouts.linger = $0 }
        case .httpMaxLingerBytes: return number(text, 0...1 << 30) { settings.http.maxLingerBytes = $0 }
        case .httpDrainGrace: return durationOrForever(text) { settings.http.timeouts.drainGrace = $0 ?? .zero }
        case .httpMaxRequestLine: return number(text, 64...1 << 20) { settings.http.limits.requestLine = $0 }
        case .httpMaxHeaderBytes: return number(text, 256...1 << 20) { settings.http.limits.fieldBytes = $0 }
        case .httpMaxHeaderCount: return number(text, 1...10_000) { settings.http.limits.fieldCount = $0 }
        case .httpMaxBody: return number(text, 0...1 << 40) { settings.http.limits.body = $0 }
        case .httpRequestsPerTurn: return number(text, 1...100_000) { settings.http.requestsPerTurn = $0 }
        case .httpMaxPendingOutput: return number(text, 0...1 << 30) { settings.http.maxPendingOutput = $0 }
        case .httpMaxStreamBacklog: return number(text, 0...1 << 30) { settings.http.maxStreamBacklog = $0 }
        case .httpBacklog: return number(text, 1...65_535) { settings.http.backlog = Int32($0) }
        case .reusePort: return bool(text) { settings.http.reusePort = $0 }
        case .statusMaxViewers: return number(text, 0...100_000) { settings.statusMaxViewers = $0 }
        case .metrics: return bool(text) { settings.keepsMetrics = $0 }
        case .logLevel:
            guard let level = Logger.Level(rawValue: text) else {
                return "'\(text)' is not one of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))"
            }
            settings.logLevel = level
        case .logFormat:
            guard let format = LineLogHandler.Format(rawValue: text) else {
                return "'\(text)' is not text or json"
            }
            settings.logFormat = format
        case .accessLog:
            guard let accessLog = AccessLog.Scope(rawValue: text) else {
                return "'\(text)' is not off, all or without-health"
            }
            settings.accessLog = accessLog
        }
        return nil
    }

    private func bool(_ text: String, _ set: (Bool) -> Void) -> String? {
        guard text == "true" || text == "false" else { return "'\(text)' is not true or false" }
        set(text == "true")
        return nil
    }

    private func number(_ text: String, _ range: ClosedRange<Int>, _ set: (Int) -> Void) -> String? {
        guard let value = Int(text), range.contains(value) else {
            return "'\(text)' is not a number from \(range.lowerBound) to \(range.upperBound)"
        }
        set(value)
        return nil
    }

    private func duration(_ text: String, _ set: (Duration) -> Void) -> String? {
        guard let value = Duration(settingText: text), value > .zero else {
            return "'\(text)' is not a duration such as 250ms, 1.5s, 5m or 2h"
        }
        set(value)
        return nil
    }

    private func durationOrForever(_ text: String, _ set: (Duration?) -> Void) -> String? {
        if let value = Duration(settingText: text), value == .zero {
            set(nil)
            return nil
        }
        return duration(text) { set($0) }
    }
}
