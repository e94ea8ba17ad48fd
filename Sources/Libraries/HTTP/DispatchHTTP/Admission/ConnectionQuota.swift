/// The number of connections, and its limits. A pure value.
///
/// Any connection may take a general place. When connections that cannot be evicted hold all of them, a few reserved
/// places remain for health checks: an orchestrator that cannot reach a busy service's health endpoint kills the
/// service.
struct ConnectionQuota {
    enum Kind {
        case general
        case reserved
    }

    let general: Int
    let reserved: Int
    private(set) var generalTaken = 0
    private(set) var reservedTaken = 0

    init(general: Int, reserved: Int) {
        self.general = general
        self.reserved = reserved
    }

    var count: Int { generalTaken + reservedTaken }

    func isFree(_ kind: Kind) -> Bool {
        switch kind {
        case .general: generalTaken < general
        case .reserved: reservedTaken < reserved
        }
    }

    mutating func take(_ kind: Kind) {
        switch kind {
        case .general: generalTaken += 1
        case .reserved: reservedTaken += 1
        }
    }

    mutating func giveBack(_ kind: Kind) {
        switch kind {
        case .general: generalTaken -= 1
        case .reserved: reservedTaken -= 1
        }
    }

    /// Moves one connection from a reserved place to a general one if one is free, and returns whether it did.
    mutating func promote() -> Bool {
        guard isFree(.general), reservedTaken > 0 else { return false }
        giveBack(.reserved)
        take(.general)
        return true
    }
}
