import CLinux
import DispatchLoop
import Glibc
import Testing

@Suite struct ForkDetectorTests {
    @Test("a detector recognizes its own process, and a forked process as another one")
    func forkedProcess() {
        let detector = ForkDetector()
        #expect(detector.isOwnProcess)
        let child = clinux_fork()
        if child == 0 { _exit(detector.isOwnProcess ? 1 : 0) }
        var status: Int32 = -1
        waitpid(child, &status, 0)
        #expect(status == 0, "the forked process took itself for its parent")
    }
}
