import Benchmarks
import Testing

@Suite("A callgrind profile")
struct CallgrindProfileTests {
    /// Names appear once, positions are relative, and the cost of a call follows `calls=`.
    static let output = """
        version: 1
        positions: line
        events: Ir

        ob=(1) /usr/bin/daruma
        fl=(1) ???
        fn=(10) main
        0 100
        +1 20
        cob=(2) /lib/libc.so.6
        cfi=(2) ???
        cfn=(11) malloc
        calls=3 0
        0 900
        * 5
        cfn=(12) recv
        calls=2 0
        0 40

        ob=(2)
        fl=(2)
        fn=(11)
        0 900
        cfn=(13) malloc'2
        calls=1 0
        -3 10

        totals: 1075
        """

    @Test("counts own instructions and calls by function")
    func counts() {
        let profile = CallgrindProfile(Self.output)
        #expect(profile.instructions == 1075)
        #expect(profile.own == ["main": 125, "malloc": 900])
        #expect(profile.calls == ["malloc": 4, "recv": 2])
    }

    @Test("gives the cost of a request as the difference of two runs")
    func difference() {
        let few = CallgrindProfile("totals: 1000\nfn=(1) f\ncfn=(2) malloc\ncalls=7 0\n0 1\n")
        let many = CallgrindProfile(
            "totals: 51000\nfn=(1) f\ncfn=(2) malloc\ncalls=27 0\n0 1\ncfn=(3) recv\ncalls=10 0\n0 1\n")
        let cost = RequestCost(of: 10, between: few, and: many)
        #expect(cost.instructions == 5000)
        #expect(cost.allocations == 2)
        #expect(cost.reads == 1)
        #expect(cost.writes == 0)
    }
}
