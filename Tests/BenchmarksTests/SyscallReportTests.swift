import Benchmarks
import Testing

@Suite("A report of strace")
struct SyscallReportTests {
    static let output = """
        % time     seconds  usecs/call     calls    errors syscall
        ------ ----------- ----------- --------- --------- ----------------
         52.10    0.010000           5      2000           epoll_wait
         25.00    0.004000           2      2001         1 recvfrom
         22.90    0.003900           2      2000           sendto
        ------ ----------- ----------- --------- --------- ----------------
        100.00    0.017900           3      6001         1 total
        """

    @Test("is read with and without errors")
    func read() {
        #expect(SyscallReport(Self.output).calls == ["epoll_wait": 2000, "recvfrom": 2001, "sendto": 2000])
    }

    @Test("gives calls per request as the difference of two runs")
    func difference() {
        let few = SyscallReport(" 1.0 0.1 1 100 recvfrom\n 1.0 0.1 1 50 close\n")
        let many = SyscallReport(" 1.0 0.1 1 300 recvfrom\n 1.0 0.1 1 50 close\n")
        let calls = few.perRequest(100, more: many)
        #expect(calls.map(\.name) == ["recvfrom"])
        #expect(calls.map(\.calls) == [2])
    }
}
