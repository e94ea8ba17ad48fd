import CLinux
import Glibc

/// Whether `descriptor` is readable within that time. Descriptor -1 only lets the time pass.
func isReadable(_ descriptor: Int32, within milliseconds: Int32) -> Bool {
    var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&request, 1, milliseconds) > 0
}
