internal import Glibc

/// RLIMIT_NOFILE of this process. Processes that it starts inherit the limit.
package enum DescriptorLimit {
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    /// The highest limit that `raise` requests.
    private static let ceiling: rlim_t = 65_536

    /// Raises the soft limit towards the hard limit. Returns the limit in force.
    @discardableResult
    package static func raise() -> Int {
        var limit = rlimit()
        getrlimit(resource, &limit)
        limit.rlim_cur = max(limit.rlim_cur, min(limit.rlim_max, ceiling))
        setrlimit(resource, &limit)
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the limit, and throws if it stays below `count`.
    package static func require(_ count: Int) throws {
        let allowed = raise()
        guard allowed >= count else {
            throw SandboxError(
                .service, "\(count) descriptors are needed, \(allowed) are allowed: raise the limit (ulimit -Hn)")
        }
    }
}
