import Testing

@testable import DispatchPostgres

@Suite struct PoolSettingsTests {
    @Test("the defaults are valid")
    func defaults() { #expect(PoolSettings().problem == nil) }

    @Test(
        "invalid settings are reported",
        arguments: [
            ("maximum", settings { $0.maximum = 0 }), ("minimum", settings { $0.minimum = -1 }),
            ("minimum", settings { $0.minimum = 11 }), ("idle", settings { $0.maximumIdle = 0 }),
            ("idle timeout", settings { $0.idleTimeout = .zero }),
            ("lifetime", settings { $0.maximumLifetime = .seconds(-1) }),
            ("grace", settings { $0.outageGrace = .seconds(-1) }), ("waiters", settings { $0.maximumWaiters = 0 }),
        ])
    func problems(word: String, settings: PoolSettings) throws {
        #expect(try #require(settings.problem).contains(word))
    }

    private static func settings(_ change: (inout PoolSettings) -> Void) -> PoolSettings {
        var settings = PoolSettings()
        change(&settings)
        return settings
    }
}
