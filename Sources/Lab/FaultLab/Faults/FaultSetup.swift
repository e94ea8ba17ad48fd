import PostgresTestKit

/// What a fault needs before it begins, and how clients watch it.
package struct FaultSetup: Sendable {
    /// The state of the database when the service starts.
    package enum Boot: Sendable {
        case running
        case stopped
        /// Running, and refusing logins with 57P03.
        case recovering
    }

    /// Further lines of postgresql.conf.
    package var settings: [String: String] = [:]
    /// Whether the service reaches its database through a relay.
    package var usesRelay = false
    /// Whether the pool opens all its connections before the fault, through a relay.
    package var fillsPool = false
    package var boot = Boot.running
    package var pingClients = 4
    /// The interval between the requests of one client.
    package var interval = Duration.milliseconds(20)
    /// The length of the fault; nil for the run's default.
    package var hold: Duration?
    package var quickHold: Duration?
    /// The database's niceness, as in nice(1), for faults that start it so often that it would saturate the machine.
    package var niceness = 0
    /// How long the service may take to release the resources that it needed for the fault.
    package var settling = Duration.seconds(10)
    /// The arguments of a `daruma-lab` that runs instead of the service.
    package var labService: [String]?
    package var needs: [FaultRequirement] = []
    /// Runs before the service starts, with the database in the state `boot`.
    package var prepare: @Sendable (FaultContext) async throws -> Void = { _ in }

    var needsRelay: Bool { usesRelay || fillsPool }
}
