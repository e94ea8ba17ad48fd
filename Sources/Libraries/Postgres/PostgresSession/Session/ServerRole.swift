/// What a server is in a cluster of several.
public enum ServerRole: String, Sendable, Hashable, CaseIterable {
    /// It takes writes.
    case primary
    /// It follows another server (PostgreSQL manual, 27.4, "Hot Standby").
    case replica
}
