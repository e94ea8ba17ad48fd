package enum BuildInfo {
    /// The version in `daruma --version`.
    package static let version = "0.1.0"
}
