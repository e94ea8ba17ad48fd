import Testing

@testable import PostgresSession

@Suite struct LoadBalancingTests {
    @Test(
        "the parameter is removed from the connection string, and the rest is unchanged",
        arguments: [
            ("postgres://u@a,b/x?load_balance_hosts=random", "postgres://u@a,b/x", "random"),
            (
                "postgres://u@a,b/x?load_balance_hosts=random&sslmode=disable", "postgres://u@a,b/x?sslmode=disable",
                "random"
            ),
            (
                "postgres://u@a/x?sslmode=disable&load_balance_hosts=disable", "postgres://u@a/x?sslmode=disable",
                "disable"
            ),
            ("postgresql://a?p=1&load_balance_hosts=random&q=2", "postgresql://a?p=1&q=2", "random"),
            ("postgres://a?load_balance_hosts=random&load_balance_hosts=disable", "postgres://a", "disable"),
            ("host=a load_balance_hosts=random port=1", "host=a port=1", "random"),
            ("load_balance_hosts = 'random' host=a", " host=a", "random"),
            ("host=a load_balance_hosts=random  ", "host=a", "random"),
            (
                #"password='load_balance_hosts=x \' y' load_balance_hosts=random"#,
                #"password='load_balance_hosts=x \' y'"#, "random"
            ),
        ])
    func taken(text: String, rest: String, value: String) {
        let found = LoadBalancing.take(from: text)
        #expect(found.rest == rest)
        #expect(found.value == value)
    }

    @Test(
        "a text without it, or that is no connection string, is unchanged",
        arguments: [
            "", "postgres://u@a/x", "host=a port=1", "nonsense", "host='a", #"password=a\ load_balance_hosts=b"#,
            "postgres://u@a/load_balance_hosts",
        ])
    func untouched(text: String) {
        let found = LoadBalancing.take(from: text)
        #expect(found.rest == text)
        #expect(found.value == nil)
    }

    @Test("it works with any libpq, which never sees it; an unknown value is a configuration error")
    func configuration() {
        let random = ConnectionConfiguration("postgres://u@a,b/x?load_balance_hosts=random")
        #expect(random.problem == nil)
        #expect(random.loadBalancesHosts)
        #expect(random.servers.map(\.host) == ["a", "b"])
        #expect(!random.parameters(for: random.servers[0], address: nil).contains { $0.0 == LoadBalancing.keyword })
        #expect(!ConnectionConfiguration("host=a load_balance_hosts=disable").loadBalancesHosts)
        #expect(!ConnectionConfiguration("host=a").loadBalancesHosts)
        let wrong = ConnectionConfiguration("postgres://u@a/x?load_balance_hosts=yes")
        #expect(wrong.problem?.code == PostgresError.Code.conninfo)
        #expect(wrong.problem?.message.contains("load_balance_hosts") == true)
    }

    @Test("prefer-standby asks each address for a standby first, and then for any server")
    func rounds() {
        let configuration = ConnectionConfiguration("host=a,b target_session_attrs=prefer-standby")
        #expect(configuration.target == .preferStandby)
        let server = configuration.servers[0]
        for attributes in ["standby", "any"] {
            let parameters = configuration.parameters(for: server, address: nil, attributes: attributes)
            #expect(parameters.contains { $0 == ("target_session_attrs", attributes) })
        }
        #expect(ConnectionConfiguration("host=a target_session_attrs=standby").target == .standby)
    }
}
