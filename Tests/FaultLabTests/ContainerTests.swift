import PostgresTestKit
import Testing

@testable import FaultLab

@Suite("A container, as the engine describes it")
struct ContainerTests {
    private static let answer = """
        {"Id": "4f9c", "Name": "/shop-daruma-1", "RestartCount": 2,
         "State": {"Running": true, "Pid": 4711, "StartedAt": "2026-11-27T15:46:35.1Z", "Health": null},
         "Config": {"Env": ["PORT=8080", "DATABASE_URL=postgres://a:b%3D@postgres/d?x=y", "EMPTY="],
                    "Labels": {"com.docker.compose.project": "shop"}, "ExposedPorts": {"9000/tcp": {}}},
         "NetworkSettings": {"Ports": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}], "53/udp": null},
                             "Networks": {"b": {"IPAddress": "172.18.0.3"}, "a": {"IPAddress": ""}}}}
        """

    private func container(_ text: String = answer) throws -> ContainerState {
        try #require(JSONText(reading: text).flatMap(ContainerState.init))
    }

    @Test("has its own process, address and ports; those that are published are not needed")
    func state() throws {
        let state = try container()
        #expect(state.name == "shop-daruma-1")
        #expect(state.isRunning)
        #expect(state.process == 4711)
        #expect(state.restarts == 2)
        #expect(state.address == "172.18.0.3")
        #expect(state.ports == [8080, 9000])
        #expect(state.environment["DATABASE_URL"] == "postgres://a:b%3D@postgres/d?x=y")
        #expect(state.environment["EMPTY"] == "")
        #expect(state.labels["com.docker.compose.project"] == "shop")
    }

    @Test("that does not run, or shares the engine's network, is told apart")
    func stopped() throws {
        let state = try container(
            #"{"Id": "1", "State": {"Running": false, "Pid": 0}, "Config": {}, "NetworkSettings": {"Networks": {}}}"#)
        #expect(!state.isRunning && state.process == 0 && state.ports.isEmpty)
        #expect(state.address == "127.0.0.1")
        #expect(JSONText(reading: "[]").flatMap(ContainerState.init) == nil)
    }

    @Test("JSON is read whole or not at all")
    func json() throws {
        let value = try #require(
            JSONText(reading: #" { "a" : [1, -2.5e1, true, null], "b": "x\"\\\/\n\u00e9\ud83c\udf8e" } "#))
        #expect(value["a"]?.elements.count == 4)
        #expect(value["a"]?.elements[1].number == -25)
        #expect(value["b"]?.string == "x\"\\/\né🎎")
        #expect(value["c"] == nil)
        for broken in [
            "", "{", "[1,]", "{\"a\" 1}", "{\"a\":1,}", "\"a", "\"\\x\"", "\"\\ud83c\"", "tru", "1 2", "-",
            String(repeating: "[", count: 100_000),
        ] {
            #expect(JSONText(reading: broken) == nil, "\(broken.prefix(20))")
        }
    }

    @Test("the limits of an outage follow the service's settings, and a frozen database's its deadline")
    func limits() throws {
        #expect(ComposedService.duration("750ms") == .milliseconds(750))
        #expect(ComposedService.duration("3s") == .seconds(3))
        #expect(ComposedService.duration("1.5m") == .seconds(90))
        #expect(ComposedService.duration("soon") == nil && ComposedService.duration(nil) == nil)

        let stop = Fault.stop.inContainer(grace: .seconds(3), deadline: .milliseconds(3500))
        guard case .outage(.milliseconds(3050), .zero, _, .milliseconds(300)) = stop.expectation else {
            Issue.record("\(stop.expectation)")
            return
        }
        let freeze = Fault.freeze.inContainer(grace: .seconds(3), deadline: .milliseconds(3500))
        guard case .outage(.milliseconds(3550), .milliseconds(4500), _, .milliseconds(300)) = freeze.expectation else {
            Issue.record("\(freeze.expectation)")
            return
        }
        guard case .unseen = Fault.restart.inContainer(grace: .seconds(3), deadline: .seconds(4)).expectation else {
            Issue.record("a restart must stay unseen")
            return
        }
    }

    @Test("without an engine, the error names the socket and what to look at")
    func noEngine() async throws {
        let folder = try TemporaryFolder()
        let socket = "\(folder.path)/no.sock"
        let error = await #expect(throws: SandboxError.self) {
            try await ContainerEngine(socket: socket).inspect("x")
        }
        #expect(error?.kind == .launch)
        #expect(error?.message.contains("no container engine answers at \(socket)") == true, "\(error?.message ?? "")")
    }
}
