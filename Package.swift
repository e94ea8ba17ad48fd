// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let metrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let metricsTestKit = Target.Dependency.product(name: "MetricsTestKit", package: "swift-metrics")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")

// For scripts/fuzz: counts what the parser executes, and adds the program that feeds it. libFuzzer is the toolchain's.
let isFuzzing = Context.environment["DARUMA_FUZZ"] != nil
let http1Settings = settings + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

// One target per room; a room may import only rooms that stand below it.
let package = Package(
    name: "daruma",
    products: [
        .executable(name: "daruma", targets: ["daruma"]),
        .executable(name: "daruma-lab", targets: ["daruma-lab"]),
        .executable(name: "daruma-bench", targets: ["daruma-bench"]),
        .library(name: "PostgresPool", targets: ["PostgresPool", "PostgresConnection", "DispatchLoop"]),
        .library(name: "PostgresPoolMetrics", targets: ["PostgresPoolMetrics", "MetricDescriptions"]),
        .library(name: "DispatchHTTP", targets: ["DispatchHTTP", "HTTP1", "DispatchLoop"]),
        .library(name: "DispatchHTTPMetrics", targets: ["DispatchHTTPMetrics", "MetricDescriptions"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // Without their default traits, which bring Foundation.
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.6.0"),
    ],
    targets: [
        // C, as it is.
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),

        // Random numbers that can be repeated, for the pool, the lab and the tests.
        .target(name: "SeededRandom", swiftSettings: settings),

        // The loop.
        .target(name: "DispatchLoop", dependencies: ["CLinux"], swiftSettings: settings),

        // PostgreSQL.
        .target(
            name: "PostgresConnection",
            dependencies: ["CLibPQ", "CLinux", "DispatchLoop", "SeededRandom", collections],
            swiftSettings: settings),
        .target(
            name: "PostgresPool", dependencies: ["PostgresConnection", "DispatchLoop", "SeededRandom", collections],
            swiftSettings: settings),

        // HTTP.
        .target(name: "HTTP1", dependencies: [httpTypes], swiftSettings: http1Settings),
        .target(
            name: "DispatchHTTP", dependencies: ["HTTP1", "DispatchLoop", "CLinux", httpTypes],
            swiftSettings: settings),

        // Metrics: what pool and server report, for any backend of swift-metrics; and the service's own backend.
        .target(name: "MetricDescriptions", swiftSettings: settings),
        .target(
            name: "PostgresPoolMetrics",
            dependencies: ["PostgresPool", "PostgresConnection", "DispatchLoop", "MetricDescriptions", metrics],
            swiftSettings: settings),
        .target(
            name: "DispatchHTTPMetrics",
            dependencies: ["DispatchHTTP", "HTTP1", "DispatchLoop", "MetricDescriptions", httpTypes, metrics],
            swiftSettings: settings),
        .target(
            name: "PrometheusExposition", dependencies: ["DispatchLoop", "MetricDescriptions", metrics],
            swiftSettings: settings),

        // The service.
        .target(name: "ServiceManager", swiftSettings: settings),
        .target(name: "CommandArguments", swiftSettings: settings),
        .target(
            name: "DarumaService",
            dependencies: [
                "DispatchHTTP", "HTTP1", "PostgresPool", "PostgresConnection", "DispatchLoop", "ServiceManager",
                "MetricDescriptions", "PostgresPoolMetrics", "DispatchHTTPMetrics", "PrometheusExposition", httpTypes,
                logging, metrics,
            ],
            // Compiled in: the binary needs no files beside it.
            resources: ["html", "css", "js"].map { .embedInCode("StatusPage/status.\($0)") },
            swiftSettings: settings),
        .executableTarget(
            name: "daruma",
            dependencies: [
                "DarumaService", "CommandArguments", "DispatchHTTP", "DispatchLoop", "ServiceManager", logging,
            ], swiftSettings: settings),

        // The lab: never in the production image.
        .target(name: "HTTP1Checks", dependencies: ["HTTP1", "SeededRandom", httpTypes], swiftSettings: settings),
        .target(name: "PostgresSandbox", dependencies: ["SeededRandom", subprocess, system], swiftSettings: settings),
        .executableTarget(
            name: "daruma-lab",
            dependencies: [
                "PostgresSandbox", "PostgresPool", "PostgresConnection", "DispatchHTTP", "HTTP1", "DispatchLoop",
                httpTypes, argumentParser,
            ],
            swiftSettings: settings),
        .target(
            name: "Benchmarks",
            dependencies: ["PostgresSandbox", "PostgresPool", "PostgresConnection", "DispatchLoop"],
            swiftSettings: settings),
        .executableTarget(
            name: "daruma-bench",
            dependencies: [
                "Benchmarks", "PostgresSandbox", "PostgresPool", "PostgresConnection", "HTTP1", "DispatchLoop",
                httpTypes, argumentParser,
            ],
            swiftSettings: settings),

        // Tests, one target per room.
        .testTarget(
            name: "DispatchLoopTests", dependencies: ["DispatchLoop", "SeededRandom", "CLinux"], swiftSettings: settings
        ),
        .testTarget(
            name: "HTTP1Tests", dependencies: ["HTTP1", "HTTP1Checks", "SeededRandom", httpTypes], exclude: ["Corpus"],
            swiftSettings: settings),
        .testTarget(
            name: "DispatchHTTPTests",
            dependencies: [
                "DispatchHTTP", "HTTP1", "HTTP1Checks", "DispatchLoop", "SeededRandom", "CLinux", httpTypes,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "PrometheusExpositionTests",
            dependencies: ["PrometheusExposition", "MetricDescriptions", "PostgresSandbox", metrics],
            swiftSettings: settings),
        .testTarget(
            name: "DispatchHTTPMetricsTests",
            dependencies: [
                "DispatchHTTPMetrics", "DispatchHTTP", "HTTP1", "DispatchLoop", "MetricDescriptions", httpTypes,
                metrics, metricsTestKit,
            ], swiftSettings: settings),
        .testTarget(
            name: "PostgresPoolMetricsTests",
            dependencies: [
                "PostgresPoolMetrics", "PostgresPool", "PostgresConnection", "PostgresSandbox", "DispatchLoop",
                "MetricDescriptions", metrics, metricsTestKit,
            ], swiftSettings: settings),
        .testTarget(
            name: "PostgresConnectionTests",
            dependencies: ["PostgresConnection", "PostgresSandbox", "DispatchLoop", "SeededRandom", "CLinux"],
            swiftSettings: settings),
        .testTarget(
            name: "PostgresPoolTests",
            dependencies: [
                "PostgresPool", "PostgresConnection", "PostgresSandbox", "DispatchLoop", "SeededRandom", "CLinux",
            ],
            swiftSettings: settings),
        .testTarget(name: "ServiceManagerTests", dependencies: ["ServiceManager"], swiftSettings: settings),
        .testTarget(name: "CommandArgumentsTests", dependencies: ["CommandArguments"], swiftSettings: settings),
        .testTarget(
            name: "DarumaServiceTests",
            dependencies: [
                "DarumaService", "DispatchHTTP", "HTTP1", "PostgresPool", "PostgresConnection", "DispatchLoop",
                "PostgresSandbox", "SeededRandom", "MetricDescriptions", "PrometheusExposition", httpTypes, logging,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "PostgresSandboxTests", dependencies: ["PostgresSandbox", subprocess], swiftSettings: settings),
        .testTarget(name: "BenchmarksTests", dependencies: ["Benchmarks", "PostgresSandbox"], swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests", dependencies: ["PostgresSandbox", "ServiceManager", "daruma", "daruma-lab"],
            swiftSettings: settings),
    ]
)

if isFuzzing {
    package.targets.append(
        .executableTarget(
            name: "http1-fuzz", dependencies: ["HTTP1Checks"], exclude: ["http.dict"], swiftSettings: settings))
}
