import CLinux
import DispatchLoop
import Glibc
import Testing

struct ForkDetectorTests {
    @Test("a mark is known in its process and not in one forked from it")
    func forkedProcess() {
        let mark = ForkDetector()
        let isOwnBefore = mark.isOwnProcess
        #expect(isOwnBefore)
        let child = clinux_fork()
        if child == 0 { _exit(mark.isOwnProcess ? 1 : 0) }
        var status: Int32 = -1
        waitpid(child, &status, 0)
        #expect(status == 0, "the forked process took itself for the one that made the mark")
        let isOwnAfter = mark.isOwnProcess
        #expect(isOwnAfter)
    }
}
