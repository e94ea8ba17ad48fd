import DarumaService
import Glibc
import Testing

@Suite("the notification socket")
struct NotifySocketTests {
    /// systemd's end.
    final class Receiver {
        let descriptor: Int32
        private let path: String?

        init(_ name: String) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            path = name.hasPrefix("/") ? name : nil
            let isBound = try NotifyAddress(name).withSockAddr { bind(descriptor, $0, $1) == 0 }
            try #require(isBound, "cannot bind \(name): \(String(cString: strerror(errno)))")
        }

        deinit {
            close(descriptor)
            if let path { unlink(path) }
        }

        func receive() -> String? {
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
        }
    }

    static func name(_ prefix: String) -> String { "\(prefix)daruma-test-\(UInt64.random(in: 0 ... .max))" }

    @Test("reaches a path and an abstract name", arguments: ["/tmp/", "@"])
    func reaches(_ prefix: String) throws {
        let name = Self.name(prefix)
        let receiver = try Receiver(name)
        let socket = try #require(NotifySocket(try NotifyAddress(name)))
        #expect(socket.send("READY=1\nSTATUS=well") == .sent)
        #expect(receiver.receive() == "READY=1\nSTATUS=well")
    }

    @Test("reaches a receiver that has restarted under its name")
    func restarted() throws {
        let name = Self.name("@")
        var receiver: Receiver? = try Receiver(name)
        let socket = try #require(NotifySocket(try NotifyAddress(name)))
        #expect(socket.send("1") == .sent)
        receiver = nil
        #expect(receiver == nil)
        #expect(socket.send("2") == .failed(errno: ECONNREFUSED))
        let next = try Receiver(name)
        #expect(socket.send("3") == .sent)
        #expect(next.receive() == "3")
    }

    @Test("does not block when the receiver does not read")
    func full() throws {
        let name = Self.name("@")
        let receiver = try Receiver(name)
        let socket = try #require(NotifySocket(try NotifyAddress(name)))
        var sent = 0
        while sent < 100_000, socket.send("WATCHDOG=1") == .sent { sent += 1 }
        #expect(socket.send("WATCHDOG=1") == .full)
        #expect(receiver.receive() == "WATCHDOG=1")
        #expect(socket.send("WATCHDOG=1") == .sent)
    }
}
