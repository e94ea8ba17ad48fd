/// What this build says of itself.
package enum BuildInfo {
    /// As in `daruma --version`.
    package static let version = "0.1.0"
}
