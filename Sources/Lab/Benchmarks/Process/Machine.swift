internal import FaultLab
internal import Glibc
internal import PostgresTestKit

/// On what, and when, something was measured.
package struct Machine: Sendable {
    package let processors: Int
    package let model: String
    package let kernel: String
    /// In the last minute, before anything was measured.
    package let load: Double
    /// Of the measurement, `2026-11-21`, in UTC.
    package let date: String

    package init() {
        let machine = MachineLoad.now
        processors = machine.processors
        let lines = (Files.read("/proc/cpuinfo") ?? "").split(separator: "\n")
        let name = lines.first { $0.hasPrefix("model name") }.flatMap { $0.split(separator: ":").last }
        model = name.map { String($0.drop { $0 == " " }) } ?? "unknown processor"
        kernel = (Files.read("/proc/sys/kernel/osrelease") ?? "").split(separator: "\n").first.map(String.init) ?? ""
        load = machine.load
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        let (month, day) = (Int(parts.tm_mon) + 1, Int(parts.tm_mday))
        date = "\(Int(parts.tm_year) + 1900)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
    }

    /// In one line, for below a table.
    package var description: String { "\(date), \(processors) × \(model), Linux \(kernel), load before: \(load)" }
}
