/// How many connections there may be, and which places are taken. Pure.
///
/// Ordinary places are for everybody. When all are taken by connections that cannot make room, a few reserved ones are
/// left, on which only what is essential is answered: an orchestrator that cannot reach the health answers of a service
/// under load would end it, which helps nobody.
struct ConnectionQuota {
    enum Kind {
        case general
        case reserved
    }

    let general: Int
    let reserved: Int
    private(set) var ordinaryTaken = 0
    private(set) var reservedTaken = 0

    init(general: Int, reserved: Int) {
        self.general = general
        self.reserved = reserved
    }

    var count: Int { ordinaryTaken + reservedTaken }

    func isFree(_ kind: Kind) -> Bool {
        switch kind {
        case .general: ordinaryTaken < general
        case .reserved: reservedTaken < reserved
        }
    }

    mutating func take(_ kind: Kind) {
        switch kind {
        case .general: ordinaryTaken += 1
        case .reserved: reservedTaken += 1
        }
    }

    mutating func giveBack(_ kind: Kind) {
        switch kind {
        case .general: ordinaryTaken -= 1
        case .reserved: reservedTaken -= 1
        }
    }

    /// Moves one connection from a reserved place to an ordinary one, if one has become free.
    mutating func promote() -> Bool {
        guard isFree(.general), reservedTaken > 0 else { return false }
        giveBack(.reserved)
        take(.general)
        return true
    }
}
