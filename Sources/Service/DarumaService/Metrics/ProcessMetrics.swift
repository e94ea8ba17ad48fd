internal import CoreMetrics
internal import DispatchLoop
internal import MetricDescriptions
internal import PostgresSession

/// The process metrics of Prometheus's client libraries
/// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), and the build.
struct ProcessMetrics: Sendable {
    static let descriptions = ProcessMetrics(factory: NOOPMetricsHandler.instance).descriptions

    private let descriptions: [MetricDescription]
    private let cpu: FloatingPointCounter
    /// The part of the processor time that the counter already has.
    private let countedCPU = Locked(0.0)
    private let openDescriptors, maximumDescriptors, virtualMemory, residentMemory, threads: Gauge

    init(factory: any MetricsFactory) {
        var all: [MetricDescription] = []
        func gauge(
            _ label: String, in unit: MetricDescription.Unit = .none, _ help: String, _ labels: [(String, String)] = []
        ) -> Gauge {
            all.append(MetricDescription(label, .gauge, in: unit, help))
            return Gauge(label: label, dimensions: labels, factory: factory)
        }
        all.append(
            MetricDescription(
                "process.cpu", .counter, in: .seconds, "User and system time that the process has used."))
        cpu = FloatingPointCounter(label: "process.cpu", factory: factory)
        openDescriptors = gauge("process.open_fds", "File descriptors that are open.")
        maximumDescriptors = gauge("process.max_fds", "The most file descriptors that may be open.")
        virtualMemory = gauge("process.virtual_memory", in: .bytes, "Virtual memory.")
        residentMemory = gauge("process.resident_memory", in: .bytes, "Resident memory.")
        threads = gauge("process.threads", "Threads.")
        gauge("process.start_time", in: .seconds, "When the process began, in seconds since 1970.")
            .record(ProcessUsage.startTime ?? 0)
        gauge(
            "daruma.build_info", "What was built: always 1, the labels say what.",
            [("version", BuildInfo.version), ("libpq", LibPQ.version)]
        ).record(1)
        descriptions = all
    }

    /// Reads the kernel's figures. Must run off the loop, because it reads files.
    func refresh() {
        guard let usage = ProcessUsage.now() else { return }
        cpu.increment(
            by: countedCPU.withLock { counted in
                defer { counted = usage.cpuSeconds }
                return usage.cpuSeconds - counted
            })
        openDescriptors.record(usage.openDescriptors)
        maximumDescriptors.record(usage.maximumDescriptors.map(Double.init) ?? .infinity)
        virtualMemory.record(usage.virtualBytes)
        residentMemory.record(usage.residentBytes)
        threads.record(usage.threads)
    }
}
