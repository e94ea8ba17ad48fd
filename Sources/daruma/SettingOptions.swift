import ArgumentParser
import DarumaService

/// The flags, one for each ``Setting``; what they mean and how they are read is said there.
struct SettingOptions: ParsableArguments {
    @Option(help: .init(.host)) var host: String?
    @Option(help: .init(.port)) var port: String?
    @Option(help: .init(.adminPort)) var adminPort: String?
    @Option(help: .init(.adminHost)) var adminHost: String?
    @Option(name: .customLong(Setting.databaseURL.flag), help: .init(.databaseURL)) var databaseURL: String?

    @Option(help: .init(.pingTimeout)) var pingTimeout: String?
    @Option(help: .init(.pingFailureStatus)) var pingFailureStatus: String?
    @Option(help: .init(.readyRequiresDb)) var readyRequiresDb: String?
    @Option(help: .init(.livenessLimit)) var livenessLimit: String?
    @Option(help: .init(.drainDelay)) var drainDelay: String?
    @Option(help: .init(.shutdownTimeout)) var shutdownTimeout: String?

    @Option(help: .init(.poolMin)) var poolMin: String?
    @Option(help: .init(.poolMax)) var poolMax: String?
    @Option(help: .init(.poolMaxIdle)) var poolMaxIdle: String?
    @Option(help: .init(.poolIdleTimeout)) var poolIdleTimeout: String?
    @Option(help: .init(.poolMaxLifetime)) var poolMaxLifetime: String?
    @Option(help: .init(.poolKeepalive)) var poolKeepalive: String?

    @Option(help: .init(.connectTimeout)) var connectTimeout: String?
    @Option(help: .init(.outageGrace)) var outageGrace: String?
    @Option(help: .init(.silenceTimeout)) var silenceTimeout: String?
    @Option(help: .init(.checkTimeout)) var checkTimeout: String?

    @Option(help: .init(.httpMaxConnections)) var httpMaxConnections: String?
    @Option(help: .init(.httpReservedConnections)) var httpReservedConnections: String?
    @Option(help: .init(.httpReservedTimeout)) var httpReservedTimeout: String?
    @Option(help: .init(.httpHeaderTimeout)) var httpHeaderTimeout: String?
    @Option(help: .init(.httpBodyTimeout)) var httpBodyTimeout: String?
    @Option(help: .init(.httpBodyTotalTimeout)) var httpBodyTotalTimeout: String?
    @Option(help: .init(.httpIdleTimeout)) var httpIdleTimeout: String?
    @Option(help: .init(.httpWriteTimeout)) var httpWriteTimeout: String?
    @Option(help: .init(.httpWriteTotalTimeout)) var httpWriteTotalTimeout: String?
    @Option(help: .init(.httpLingerTimeout)) var httpLingerTimeout: String?
    @Option(help: .init(.httpMaxLingerBytes)) var httpMaxLingerBytes: String?
    @Option(help: .init(.httpMaxRequestLine)) var httpMaxRequestLine: String?
    @Option(help: .init(.httpMaxHeaderBytes)) var httpMaxHeaderBytes: String?
    @Option(help: .init(.httpMaxHeaderCount)) var httpMaxHeaderCount: String?
    @Option(help: .init(.httpMaxBody)) var httpMaxBody: String?
    @Option(help: .init(.httpRequestsPerTurn)) var httpRequestsPerTurn: String?
    @Option(help: .init(.httpMaxPendingOutput)) var httpMaxPendingOutput: String?
    @Option(help: .init(.httpMaxStreamBacklog)) var httpMaxStreamBacklog: String?
    @Option(help: .init(.httpBacklog)) var httpBacklog: String?
    @Option(help: .init(.reusePort)) var reusePort: String?

    @Option(help: .init(.statusMaxViewers)) var statusMaxViewers: String?
    @Option(help: .init(.metrics)) var metrics: String?
    @Option(help: .init(.logLevel)) var logLevel: String?
    @Option(help: .init(.logFormat)) var logFormat: String?
    @Option(help: .init(.accessLog)) var accessLog: String?

    /// What was given.
    var values: [Setting: String] {
        let given: [(Setting, String?)] = [
            (.host, host), (.port, port), (.adminPort, adminPort), (.adminHost, adminHost), (.databaseURL, databaseURL),
            (.pingTimeout, pingTimeout), (.pingFailureStatus, pingFailureStatus), (.readyRequiresDb, readyRequiresDb),
            (.livenessLimit, livenessLimit), (.drainDelay, drainDelay), (.shutdownTimeout, shutdownTimeout),
            (.poolMin, poolMin),
            (.poolMax, poolMax), (.poolMaxIdle, poolMaxIdle), (.poolIdleTimeout, poolIdleTimeout),
            (.poolMaxLifetime, poolMaxLifetime), (.poolKeepalive, poolKeepalive), (.connectTimeout, connectTimeout),
            (.outageGrace, outageGrace), (.silenceTimeout, silenceTimeout), (.checkTimeout, checkTimeout),
            (.httpMaxConnections, httpMaxConnections), (.httpReservedConnections, httpReservedConnections),
            (.httpReservedTimeout, httpReservedTimeout), (.httpHeaderTimeout, httpHeaderTimeout),
            (.httpBodyTimeout, httpBodyTimeout), (.httpBodyTotalTimeout, httpBodyTotalTimeout),
            (.httpIdleTimeout, httpIdleTimeout),
            (.httpWriteTimeout, httpWriteTimeout), (.httpWriteTotalTimeout, httpWriteTotalTimeout),
            (.httpLingerTimeout, httpLingerTimeout), (.httpMaxLingerBytes, httpMaxLingerBytes),
            (.httpMaxRequestLine, httpMaxRequestLine),
            (.httpMaxHeaderBytes, httpMaxHeaderBytes), (.httpMaxHeaderCount, httpMaxHeaderCount),
            (.httpMaxBody, httpMaxBody), (.httpRequestsPerTurn, httpRequestsPerTurn),
            (.httpMaxPendingOutput, httpMaxPendingOutput), (.httpMaxStreamBacklog, httpMaxStreamBacklog),
            (.httpBacklog, httpBacklog), (.reusePort, reusePort), (.statusMaxViewers, statusMaxViewers),
            (.metrics, metrics), (.logLevel, logLevel),
            (.logFormat, logFormat), (.accessLog, accessLog),
        ]
        return Dictionary(uniqueKeysWithValues: given.compactMap { setting, value in value.map { (setting, $0) } })
    }
}

extension ArgumentHelp {
    fileprivate init(_ setting: Setting) {
        self.init(
            "\(setting.meaning) [\(setting.variable)] (default: \(setting.defaultText))",
            valueName: setting.flag.split(separator: "-").last.map(String.init) ?? "value")
    }
}
