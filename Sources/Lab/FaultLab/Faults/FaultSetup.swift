import PostgresTestKit

/// What must stand before a fault can happen, and how it is watched.
package struct FaultSetup: Sendable {
    /// How the database is when the service starts.
    package enum Boot: Sendable {
        case running
        case stopped
        /// Alive, and answering logins with 57P03.
        case recovering
    }

    /// Further lines of postgresql.conf.
    package var settings: [String: String] = [:]
    /// The service reaches its database through a relay.
    package var usesRelay = false
    /// As many connections as the pool may have are open before the fault. Needs the relay.
    package var fillsPool = false
    package var boot = Boot.running
    package var pingClients = 4
    /// How often each client asks.
    package var interval = Duration.milliseconds(20)
    /// How long the fault lasts; as long as the run says when nil.
    package var hold: Duration?
    package var quickHold: Duration?
    /// How far the database gives way to the service, as in nice(1): for faults in which it is started so often that it would
    /// take the machine.
    package var niceness = 0
    /// How long the service may take to put away what it needed for the fault.
    package var settling = Duration.seconds(10)
    /// A service of the lab's own runs instead of the one under observation: `daruma-lab` with these words.
    package var labService: [String]?
    package var needs: [FaultRequirement] = []
    /// Done before the service starts, with the database in the state that `boot` names.
    package var prepare: @Sendable (FaultContext) async throws -> Void = { _ in }

    package init(
        settings: [String: String] = [:], usesRelay: Bool = false, fillsPool: Bool = false, boot: Boot = .running,
        pingClients: Int = 4, interval: Duration = .milliseconds(20), hold: Duration? = nil,
        quickHold: Duration? = nil, niceness: Int = 0, settling: Duration = .seconds(10), labService: [String]? = nil,
        needs: [FaultRequirement] = [],
        prepare: @escaping @Sendable (FaultContext) async throws -> Void = { _ in }
    ) {
        self.settings = settings
        self.usesRelay = usesRelay || fillsPool
        self.fillsPool = fillsPool
        self.boot = boot
        self.pingClients = pingClients
        self.interval = interval
        self.hold = hold
        self.quickHold = quickHold
        self.niceness = niceness
        self.settling = settling
        self.labService = labService
        self.needs = needs
        self.prepare = prepare
    }
}
