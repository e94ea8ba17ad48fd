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

let collections = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
// Each with the trait that needs it: who turns that off does not even resolve the package (see `traits`).
let httpTypes = optional("HTTPTypes", of: "swift-http-types", for: "HTTP")
let metrics = optional("CoreMetrics", of: "swift-metrics", for: "Metrics")
let metricsTestKit = optional("MetricsTestKit", of: "swift-metrics", for: "Metrics")
let subprocess = optional("Subprocess", of: "swift-subprocess", for: "TestKit")
let system = optional("SystemPackage", of: "swift-system", for: "TestKit")
let logging = optional("Logging", of: "swift-log", for: "Programs")
let argumentParser = optional("ArgumentParser", of: "swift-argument-parser", for: "Programs")

func optional(_ product: String, of package: String, for trait: String) -> Target.Dependency {
    .product(name: product, package: package, condition: .when(traits: [trait]))
}

// For scripts/fuzz: counts what the parser executes, and adds the program that feeds it. libFuzzer is the toolchain's.
let isFuzzing = Context.environment["DARUMA_FUZZ"] != nil
let http1Settings = settings + (isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : [])

// Three floors: libraries, service, lab. A target may import only what stands above it in this list; nothing imports the lab.
func library(_ folder: String, _ dependencies: [Target.Dependency] = [], _ own: [SwiftSetting] = settings) -> Target {
    .target(
        name: String(folder.split(separator: "/").last ?? ""), dependencies: dependencies,
        path: "Sources/Libraries/\(folder)", swiftSettings: own)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

let package = Package(
    name: "daruma",
    products: [
        .executable(name: "daruma", targets: ["daruma"]),
        .executable(name: "daruma-lab", targets: ["daruma-lab"]),
        .library(name: "DispatchPostgres", targets: ["DispatchPostgres", "PostgresSession", "DispatchLoop"]),
        .library(name: "PostgresClient", targets: ["PostgresClient"]),
        .library(name: "PostgresTestKit", targets: ["PostgresTestKit"]),
        .library(name: "DispatchPostgresMetrics", targets: ["DispatchPostgresMetrics", "MetricDescriptions"]),
        .library(name: "DispatchHTTP", targets: ["DispatchHTTP", "HTTP1", "DispatchLoop"]),
        .library(name: "DispatchHTTPMetrics", targets: ["DispatchHTTPMetrics", "MetricDescriptions"]),
    ],
    // By default, everything builds. A package that uses one library names what that needs, and resolves nothing else:
    // `.package(url: …, traits: [])` for PostgresClient and DispatchPostgres, `["HTTP"]` for DispatchHTTP.
    traits: [
        .default(enabledTraits: ["Programs"]),
        .trait(name: "HTTP", description: "DispatchHTTP, through swift-http-types."),
        .trait(name: "Metrics", description: "DispatchPostgresMetrics and DispatchHTTPMetrics, through swift-metrics."),
        .trait(name: "TestKit", description: "PostgresTestKit, through swift-subprocess and swift-system."),
        .trait(
            name: "Programs", description: "The service and the lab, which need all of the others but Foundation.",
            enabledTraits: ["HTTP", "Metrics", "TestKit"]),
        .trait(
            name: "Foundation",
            description: "UUID, Date, Decimal, Data and Codable values in PostgresClient, through Foundation."),
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
        // The libraries.
        .systemLibrary(name: "CLinux", path: "Sources/Libraries/CLinux"),
        .systemLibrary(
            name: "CLibPQ", path: "Sources/Libraries/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        library("DispatchLoop", ["CLinux"]),
        library("Postgres/PostgresSession", ["CLibPQ", "CLinux", "DispatchLoop", collections]),
        library("Postgres/DispatchPostgres", ["PostgresSession", "DispatchLoop", collections]),
        library("Postgres/PostgresClient", ["DispatchPostgres", "PostgresSession", "DispatchLoop"]),
        library("HTTP/HTTP1", [httpTypes], http1Settings),
        library("HTTP/DispatchHTTP", ["HTTP1", "DispatchLoop", "CLinux", httpTypes]),
        // What pool and server report, for any backend of swift-metrics; and the service's own backend.
        library("Metrics/MetricDescriptions"),
        library(
            "Metrics/DispatchPostgresMetrics",
            ["DispatchPostgres", "PostgresSession", "DispatchLoop", "MetricDescriptions", metrics]),
        library(
            "Metrics/DispatchHTTPMetrics",
            ["DispatchHTTP", "HTTP1", "DispatchLoop", "MetricDescriptions", httpTypes, metrics]),
        library("Metrics/PrometheusExposition", ["DispatchLoop", "MetricDescriptions", metrics]),

        // The service.
        .target(
            name: "DarumaService",
            dependencies: [
                "DispatchHTTP", "HTTP1", "DispatchPostgres", "PostgresSession", "DispatchLoop", "MetricDescriptions",
                "DispatchPostgresMetrics", "DispatchHTTPMetrics", "PrometheusExposition", httpTypes, logging, metrics,
            ],
            path: "Sources/Service/DarumaService",
            // Compiled in: the binary needs no files beside it.
            resources: ["html", "css", "js"].map { .embedInCode("StatusPage/status.\($0)") },
            swiftSettings: settings),
        .executableTarget(
            name: "daruma", dependencies: ["DarumaService", "DispatchHTTP", "DispatchLoop", logging],
            path: "Sources/Service/daruma", swiftSettings: settings),

        // The lab: never in the production image.
        .target(
            name: "PostgresTestKit", dependencies: ["DispatchLoop", subprocess, system],
            path: "Sources/Lab/PostgresTestKit", swiftSettings: settings),
        .target(
            name: "FaultLab", dependencies: ["PostgresTestKit", "DispatchLoop", subprocess, system],
            path: "Sources/Lab/FaultLab", swiftSettings: settings),
        .target(
            name: "Benchmarks",
            dependencies: [
                "PostgresTestKit", "FaultLab", "PostgresClient", "DispatchPostgres", "PostgresSession", "DispatchHTTP",
                "HTTP1", "DispatchLoop", httpTypes,
            ],
            path: "Sources/Lab/Benchmarks", swiftSettings: settings),
        .executableTarget(
            name: "daruma-lab",
            dependencies: [
                "PostgresTestKit", "FaultLab", "Benchmarks", "DispatchPostgres", "PostgresSession", "DispatchHTTP",
                "HTTP1", "DispatchLoop", httpTypes, argumentParser,
            ],
            path: "Sources/Lab/daruma-lab", swiftSettings: settings),

        // Tests, one target for each of the above, and what several of them use.
        .target(
            name: "HTTP1Checks", dependencies: ["HTTP1", "DispatchLoop", httpTypes], path: "Tests/Support/HTTP1Checks",
            swiftSettings: settings),
        tests("DispatchLoopTests", ["DispatchLoop", "CLinux"]),
        tests("HTTP1Tests", ["HTTP1", "HTTP1Checks", "DispatchLoop", httpTypes], exclude: ["Corpus"]),
        tests("DispatchHTTPTests", ["DispatchHTTP", "HTTP1", "HTTP1Checks", "DispatchLoop", "CLinux", httpTypes]),
        tests("PrometheusExpositionTests", ["PrometheusExposition", "MetricDescriptions", "FaultLab", metrics]),
        tests(
            "DispatchHTTPMetricsTests",
            [
                "DispatchHTTPMetrics", "DispatchHTTP", "HTTP1", "DispatchLoop", "MetricDescriptions", httpTypes,
                metrics, metricsTestKit,
            ]),
        tests(
            "DispatchPostgresMetricsTests",
            [
                "DispatchPostgresMetrics", "DispatchPostgres", "PostgresSession", "PostgresTestKit", "DispatchLoop",
                "MetricDescriptions", metrics, metricsTestKit,
            ]),
        tests("PostgresSessionTests", ["PostgresSession", "PostgresTestKit", "FaultLab", "DispatchLoop", "CLinux"]),
        tests(
            "DispatchPostgresTests",
            ["DispatchPostgres", "PostgresSession", "PostgresTestKit", "FaultLab", "DispatchLoop", "CLinux"]),
        tests(
            "PostgresClientTests",
            ["PostgresClient", "DispatchPostgres", "PostgresSession", "PostgresTestKit", "DispatchLoop"]),
        // What a user of the client and of its test kit writes, with what is public of both.
        tests("ClientServiceTests", ["PostgresClient", "PostgresTestKit"]),
        tests(
            "DarumaServiceTests",
            [
                "DarumaService", "DispatchHTTP", "HTTP1", "DispatchPostgres", "PostgresSession", "DispatchLoop",
                "PostgresTestKit", "FaultLab", "MetricDescriptions", "PrometheusExposition", httpTypes, logging,
            ]),
        tests("PostgresTestKitTests", ["PostgresTestKit", subprocess]),
        tests("FaultLabTests", ["FaultLab", "PostgresTestKit"]),
        tests("BenchmarksTests", ["Benchmarks", "PostgresTestKit", "FaultLab"]),
        tests("EndToEndTests", ["PostgresTestKit", "FaultLab", "DarumaService", "daruma", "daruma-lab"]),
    ]
)

if isFuzzing {
    package.targets.append(
        .executableTarget(
            name: "http1-fuzz", dependencies: ["HTTP1Checks"], path: "Tests/Support/http1-fuzz", exclude: ["http.dict"],
            swiftSettings: settings))
}
