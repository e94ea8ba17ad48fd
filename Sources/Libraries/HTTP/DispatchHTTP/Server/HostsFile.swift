internal import CLinux
internal import Glibc

/// The names that this machine knows by itself, hosts(5). A server listens on addresses of its own machine, and those
/// are here: its name, and in a container the container's. A name server is not asked: what listens must not wait for
/// it, or fail to start because it is away.
enum HostsFile {
    private static let path = "/etc/hosts"
    /// Nobody needs more; what is behind it is not read.
    private static let maxBytes = 1 << 20

    /// The addresses that the file gives for `name`, in their order and each once.
    static func addresses(of name: String, port: UInt16) -> [SocketAddress] {
        addresses(of: name, port: port, in: read())
    }

    /// The same for the given content.
    static func addresses(of name: String, port: UInt16, in text: String) -> [SocketAddress] {
        // Compares bytes. As a String, the Kelvin sign equals the letter k, and a combining character hides a `#` or a line
        // end.
        let name = name.utf8.map(lowercased)
        var found: [SocketAddress] = []
        for line in text.utf8.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) {
            let words = line.prefix { $0 != UInt8(ascii: "#") }
                .split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard words.dropFirst().contains(where: { $0.lazy.map(lowercased).elementsEqual(name) }),
                let digits = words.first.map({ String(decoding: $0, as: UTF8.self) }),
                let address = SocketAddress(digits, port: port), !found.contains(address)
            else { continue }
            found.append(address)
        }
        return found
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }

    private static func read() -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < maxBytes {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
