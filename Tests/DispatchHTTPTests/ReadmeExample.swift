import DispatchHTTP
import HTTPTypes

/// Greets at once, later, and in pieces.
@LoopActor
final class Greeter {
    private let server: HTTPServer

    init(_ configuration: ServerConfiguration = ServerConfiguration(port: 8080)) {
        var router = Router()
        router.get("/", always: Response(status: .ok, text: "hello\n", contentType: "text/plain"))
        router.get("/greet") { request in
            let greeting = request.query == "formal" ? "good day\n" : "hi\n"
            return .now(Response(status: .ok, text: greeting, contentType: "text/plain"))
        }
        router.get("/patient") { _ in
            .later {  // Cancelled when the client leaves; the loop serves others meanwhile.
                try? await Task.sleep(for: .milliseconds(100))
                return Response(status: .ok, text: "thank you for waiting\n", contentType: "text/plain")
            }
        }
        router.get("/numbers") { _ in
            .stream(Response(status: .ok, fields: [.contentType: "text/plain"])) { stream in
                for number in 1...3 { stream.send(Array("\(number)\n".utf8)) }
                stream.end()  // Or keep the stream and send later.
            }
        }
        server = HTTPServer(configuration: configuration, responder: router)
    }

    /// Listens. Throws `ListenError`, which names the address and a remedy.
    func start() throws -> [SocketAddress] { try server.start() }

    /// Answers the requests in flight and stops listening.
    func leave() async -> HTTPServer.DrainReport { await server.drain(deadline: .now() + .seconds(5)) }
}
