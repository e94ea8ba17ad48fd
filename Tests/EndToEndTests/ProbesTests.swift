import FaultLab
import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("probed,", .serialized)
    struct ProbesTests {
        /// No server listens on this port. Probes must work without a database.
        static let nowhere = "postgres://admin@127.0.0.1:1/mydb"

        private static let requests = [
            // HAProxy 2.6: `option httpchk` without further options.
            "OPTIONS / HTTP/1.0\r\n\r\n",
            // HAProxy 2.6: http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host service
            "GET /readyz HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\r\n",
            // kubelet
            "GET /livez HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\n"
                + "Connection: close\r\n\r\n",
            // AWS
            "GET /readyz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nConnection: close\r\n"
                + "User-Agent: ELB-HealthChecker/2.0\r\nAccept-Encoding: gzip, compressed\r\n\r\n",
            // Google
            "GET /readyz HTTP/1.1\r\nHost: 10.0.0.7\r\nUser-Agent: GoogleHC/1.0\r\nConnection: close\r\n\r\n",
            // Uptime monitors
            "HEAD /livez HTTP/1.1\r\nHost: example.org\r\nUser-Agent: UptimeRobot/2.0\r\nConnection: close\r\n\r\n",
            // BusyBox wget, as in a container's HEALTHCHECK; curl with --http1.0; Nagios' check_http
            "GET /livez HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: Wget\r\nConnection: close\r\n\r\n",
            "GET /livez HTTP/1.0\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
            "GET /livez HTTP/1.0\r\nUser-Agent: check_http/v2.3.3\r\nConnection: close\r\n\r\n",
            // By hand
            "GET /livez HTTP/1.0\r\n\r\n", "HEAD /readyz HTTP/1.0\r\n\r\n", "OPTIONS /readyz HTTP/1.0\r\n\r\n",
        ]

        @Test("answers what each prober really sends")
        func wire() async throws {
            try await withService(Self.nowhere) { service async throws in
                for request in Self.requests {
                    let answer = await HTTPProbe.raw(request, port: service.port, limit: patience)
                    #expect(answer.hasPrefix("HTTP/1.1 20"), "\(request)\(answer)")
                    if !request.hasPrefix("OPTIONS / ") { #expect(answer.contains("Cache-Control: no-store")) }
                    let body = answer.firstRange(of: "\r\n\r\n").map { answer[$0.upperBound...] } ?? ""
                    #expect(body.isEmpty == !request.hasPrefix("GET"), "\(request)\(answer)")
                    #expect(!answer.contains("["), "\(request)\(answer)")
                }
            }
        }

        @Test("a connection serves one probe after the other, and those of HTTP/1.0 that ask for it")
        func keptConnection() async throws {
            try await withService(Self.nowhere) { service async throws in
                let probe =
                    "GET /readyz HTTP/1.1\r\nHost: a\r\nUser-Agent: GoogleHC/1.0\r\nConnection: Keep-alive\r\n\r\n"
                let last = "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                let text = await HTTPProbe.raw(
                    String(repeating: probe, count: 20) + last, port: service.port, limit: patience)
                #expect(text.split(separator: "HTTP/1.1 200 OK").count == 21)
                let old = "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /livez HTTP/1.0\r\n\r\n"
                let answers = await HTTPProbe.raw(old, port: service.port, limit: patience)
                #expect(answers.split(separator: "HTTP/1.1 200 OK").count == 2)
            }
        }

        @Test("with a drain delay, readiness fails first; all else goes on until it is over")
        func drainDelay() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL(), arguments: ["--drain-delay", "3s"]) {
                    service async throws in
                    #expect(try await service.isGoodAgain())
                    #expect(await service.get("/readyz").status == 200)
                    service.process.signal(SIGTERM)
                    #expect(
                        try await Deadline(in: patience).wait {
                            let answer = await service.get("/readyz")
                            return answer.status == 503 && answer.body.contains(#""leaving": true"#)
                        })
                    for path in ["/livez", "/", "/ping", "/primary"] {
                        #expect(await service.get(path).status == 200, "\(path)")
                    }
                    #expect(try await service.process.waitForExit(within: patience) == .code(0))
                }
            }
        }

        @Test("a process that continues after a halt is live, and logs the stall")
        func halted() async throws {
            try await withService(Self.nowhere, arguments: ["--liveness-limit", "300ms"]) { service async throws in
                // The service listens before its first heartbeat; an answer proves both.
                #expect(await service.get("/livez").status == 200)
                service.process.signal(SIGSTOP)
                let id = service.process.id
                #expect(try await Deadline(in: patience).wait { ProcessTable.entry(id)?.isStopped ?? false })
                // Sent while the process is stopped, answered when it continues.
                let port = service.port
                let asked = Task { await HTTPProbe.get("/livez", port: port, limit: patience) }
                try await Task.sleep(for: .milliseconds(1_000))
                service.process.signal(SIGCONT)
                let answer = await asked.value
                #expect(answer.status == 200)
                #expect(answer.body.contains("lengthMs"))
                #expect(await service.get("/livez").status == 200)
                #expect(
                    try await Deadline(in: patience).wait { service.process.log.contains("the event loop stalled") }
                )
            }
        }

        @Test(
            "the README's lines for HAProxy are what HAProxy takes",
            .enabled(if: HAProxy.program != nil && !isUnderSanitizer))
        func readmeConfiguration() async throws {
            let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
            let guide = root + "/Sources/Service/DarumaService/DarumaService.docc/Operations.md"
            let readme = try #require(Files.read(guide))
            let begin = try #require(readme.firstRange(of: "```\n# HAProxy\n"))
            let lines = readme[begin.upperBound...].prefix(while: { $0 != "`" })
            let folder = try TemporaryFolder()
            let path = "\(folder.path)/haproxy.cfg"
            let rest = """
                defaults
                    mode http
                    timeout connect 1s
                    timeout client 9s
                    timeout server 9s
                frontend clients
                    bind 127.0.0.1:8081
                    default_backend service

                """
            try Files.write(rest + lines, to: path)
            let check = try await ServiceProcess.start([try #require(HAProxy.program), "-c", "-f", path])
            #expect(try await check.waitForExit(within: patience) == .code(0), "\(check.log)")
            #expect(!check.log.contains("WARNING"), "\(check.log)")
        }

        /// Takes ten seconds, and shows a sanitizer nothing that unit tests do not. So it runs only in the plain pass,
        /// if HAProxy is installed (`scripts/test` installs it).
        @Test(
            "HAProxy, kubelet and load balancer see the database go and come, and never the service",
            .enabled(if: HAProxy.program != nil && getenv("DARUMA_SANITIZER") == nil))
        func orchestrators() async throws {
            var settings = ProbeCheck.Settings()
            settings.rounds = 1
            settings.hold = .milliseconds(1200)
            settings.pause = .milliseconds(200)
            settings.flapping = .seconds(4)
            settings.waitsForTheEnd = false
            let report = try await ProbeCheck(settings).run()
            let broken = report.checks.filter { !$0.isKept && !$0.isTiming }.map(\.text)
            #expect(broken == [], "seed \(settings.seed)\n\(report.lines.joined(separator: "\n"))")
        }
    }
}
