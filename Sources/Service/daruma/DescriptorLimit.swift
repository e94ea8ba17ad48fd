import Glibc

/// How many descriptors this process may have. The usual soft limit of 1024 is for programs that use select(2), which
/// cannot count further; this one does not, and may as well use what it is allowed.
enum DescriptorLimit {
    /// Raises the soft limit to the hard one; returns what is allowed then.
    static func raise() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        if limit.rlim_cur < limit.rlim_max {
            var raised = rlimit(rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max)
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
