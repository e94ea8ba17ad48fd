internal import Glibc
internal import PostgresTestKit

/// The machine and the time of a measurement.
package struct HostInfo: Sendable {
    package let processors: Int
    /// The load average of the last minute (proc(5), `/proc/loadavg`).
    package let load: Double
    package var model = "unknown processor"
    package var kernel = ""
    /// In UTC, as in ISO 8601.
    package var time = ""

    package init(load: Double, processors: Int) {
        self.load = load
        self.processors = processors
    }

    package static var current: HostInfo {
        let average = (Files.read("/proc/loadavg") ?? "").split(separator: " ").first.flatMap { Double($0) } ?? 0
        var host = HostInfo(load: average, processors: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let name = (Files.read("/proc/cpuinfo") ?? "").split(separator: "\n").first { $0.hasPrefix("model name") }
        if let model = name?.split(separator: ":").last { host.model = String(model.drop { $0 == " " }) }
        host.kernel = String((Files.read("/proc/sys/kernel/osrelease") ?? "").prefix { $0 != "\n" })
        var now = Glibc.time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var bytes = [CChar](repeating: 0, count: 32)
        strftime(&bytes, bytes.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        host.time = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return host
    }

    package var date: String { String(time.prefix(10)) }
    /// Whether more tasks are runnable than processors exist.
    package var isBusy: Bool { load > Double(processors) }
    package var description: String { "\(processors) × \(model), Linux \(kernel), load before: \(load)" }
}
