import Glibc

/// The resources of this process, from a few short files of `/proc`. Each scrape reads them, off the loop.
struct ProcessUsage: Equatable {
    /// User and system time, in seconds.
    var cpuSeconds = 0.0
    var virtualBytes = 0
    var residentBytes = 0
    var threads = 0
    /// The start of the process, in clock ticks since boot.
    var startTicks = 0
    var openDescriptors = 0
    /// `nil` if unlimited.
    var maximumDescriptors: Int?

    /// The current usage; `nil` without `/proc`.
    static func now() -> ProcessUsage? {
        guard let stat = contents(of: "/proc/self/stat"),
            var usage = ProcessUsage(stat: stat, ticks: sysconf(Int32(_SC_CLK_TCK)), page: sysconf(Int32(_SC_PAGESIZE)))
        else { return nil }
        usage.openDescriptors = openDescriptors()
        var limit = rlimit()
        // RLIM_INFINITY is a macro that Swift cannot see: all bits set.
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur != .max {
            usage.maximumDescriptors = Int(clamping: limit.rlim_cur)
        }
        return usage
    }

    init() {}

    /// Parses `/proc/self/stat` (proc(5)). The command's name is in parentheses and may contain further parentheses.
    init?(stat: String, ticks: Int, page: Int) {
        guard let nameEnd = stat.lastIndex(of: ")"), ticks > 0 else { return nil }
        // `fields` begins with the third field, the state.
        let fields = stat[stat.index(after: nameEnd)...].split(whereSeparator: \.isWhitespace)
        func field(_ number: Int) -> Int { number - 3 < fields.count ? Int(fields[number - 3]) ?? 0 : 0 }
        guard fields.count >= 22 else { return nil }
        cpuSeconds = Double(field(14) + field(15)) / Double(ticks)
        threads = field(20)
        startTicks = field(22)
        virtualBytes = field(23)
        residentBytes = field(24) * page
    }

    /// The start of the process in seconds since 1970, given the text of `/proc/stat`.
    func startTime(bootStat: String, ticks: Int) -> Double? {
        guard let line = bootStat.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let boot = Double(line.dropFirst("btime ".count)), ticks > 0
        else { return nil }
        return boot + Double(startTicks) / Double(ticks)
    }

    /// The start of this process. Read once, because `/proc/stat` can be long.
    static let startTime: Double? = {
        guard let usage = now(), let bootStat = contents(of: "/proc/stat") else { return nil }
        return usage.startTime(bootStat: bootStat, ticks: sysconf(Int32(_SC_CLK_TCK)))
    }()

    /// Since Linux 6.2 the folder's size is the count; before, count the entries.
    private static func openDescriptors() -> Int {
        var status = stat()
        if stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return Int(status.st_size) }
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return max(count - 3, 0)  // ".", ".." and the descriptor of opendir(3)
    }

    private static func contents(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
