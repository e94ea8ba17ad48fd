internal import CoreMetrics
internal import DispatchLoop
internal import MetricDescriptions
internal import PostgresSession

/// The process metrics of Prometheus's client libraries
/// (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), and the build.
struct ProcessMetrics: Sendable {
    private static let cpu = MetricDescription(
        "process.cpu", .counter, in: .seconds, "User and system time that the process has used.")
    private static let openDescriptors = MetricDescription(
        "process.open_fds", .gauge, "File descriptors that are open.")
    private static let maximumDescriptors = MetricDescription(
        "process.max_fds", .gauge, "The most file descriptors that may be open.")
    private static let virtualMemory = MetricDescription(
        "process.virtual_memory", .gauge, in: .bytes, "Virtual memory.")
    private static let residentMemory = MetricDescription(
        "process.resident_memory", .gauge, in: .bytes, "Resident memory.")
    private static let threads = MetricDescription("process.threads", .gauge, "Threads.")
    private static let startTime = MetricDescription(
        "process.start_time", .gauge, in: .seconds, "When the process began, in seconds since 1970.")
    private static let buildInfo = MetricDescription(
        "daruma.build_info", .gauge, "What was built: always 1, the labels say what.")

    static let descriptions = [
        cpu, openDescriptors, maximumDescriptors, virtualMemory, residentMemory, threads, startTime, buildInfo,
    ]

    private static let build = [("version", BuildInfo.version), ("libpq", LibPQ.version)]

    private let cpu: FloatingPointCounter
    /// The part of the processor time that the counter already has.
    private let countedCPU = Locked(0.0)
    private let openDescriptors: Gauge
    private let maximumDescriptors: Gauge
    private let virtualMemory: Gauge
    private let residentMemory: Gauge
    private let threads: Gauge

    init(factory: any MetricsFactory) {
        func gauge(_ description: MetricDescription) -> Gauge { Gauge(label: description.label, factory: factory) }
        cpu = FloatingPointCounter(label: Self.cpu.label, factory: factory)
        openDescriptors = gauge(Self.openDescriptors)
        maximumDescriptors = gauge(Self.maximumDescriptors)
        virtualMemory = gauge(Self.virtualMemory)
        residentMemory = gauge(Self.residentMemory)
        threads = gauge(Self.threads)
        gauge(Self.startTime).record(ProcessUsage.startTime ?? 0)
        Gauge(label: Self.buildInfo.label, dimensions: Self.build, factory: factory).record(1)
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
