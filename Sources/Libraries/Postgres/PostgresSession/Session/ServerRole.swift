/// A server's role in a replication cluster.
public enum ServerRole: String, Sendable, Hashable, CaseIterable {
    /// Takes writes.
    case primary
    /// Follows another server, read-only (PostgreSQL manual, 27.4, "Hot Standby").
    case replica
}
