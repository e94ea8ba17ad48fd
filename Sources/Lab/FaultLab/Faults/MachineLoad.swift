internal import Glibc
import PostgresTestKit

/// How much the machine has to do beside what is measured on it.
package struct MachineLoad: Sendable {
    /// Tasks that run or want to, averaged over the last minute (proc(5), `/proc/loadavg`).
    package let load: Double
    package let processors: Int

    package init(load: Double, processors: Int) {
        self.load = load
        self.processors = processors
    }

    package static var now: MachineLoad {
        let text = Files.read("/proc/loadavg") ?? ""
        return MachineLoad(
            load: text.split(separator: " ").first.flatMap { Double($0) } ?? 0,
            processors: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    /// Whether more wants to run than can.
    package var isBusy: Bool { load > Double(processors) }
}

extension Check {
    /// The promise with its figure; where a busy machine may have broken it, that the machine is busy. Broken it is all
    /// the same.
    package func text(on machine: MachineLoad) -> String {
        guard !isKept, isTiming, machine.isBusy else { return text }
        return "\(text) – the machine is busy: load \(machine.load) on \(machine.processors) processors"
    }
}
