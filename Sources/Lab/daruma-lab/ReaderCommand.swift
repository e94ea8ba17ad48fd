import ArgumentParser
import DispatchHTTP
import DispatchLoop
import DispatchPostgres
import Glibc
import HTTP1
import HTTPTypes
import PostgresSession

/// A small service for faults that need a long statement, which the service itself does not have.
struct ReaderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reader", abstract: "Serves /accounts, which reads a table through the pool.",
        discussion: """
            Takes PORT and DATABASE_URL. / does not use the database; /ping runs `select 1`; /accounts runs \
            `select sum(balance) from accounts`, each within a second.
            """, shouldDisplay: false)

    func run() async throws {
        guard let url = getenv("DATABASE_URL"), let port = getenv("PORT").flatMap({ UInt16(String(cString: $0)) })
        else {
            throw ValidationError("PORT and DATABASE_URL are needed")
        }
        let reader = await Reader(String(cString: url), port: port)
        try await reader.start()
        try? await Interruption.cancelling { while true { try await Task.sleep(for: .seconds(3_600)) } }
        await reader.shutDown()
    }
}

@LoopActor
private final class Reader {
    private let pool: PostgresPool
    private let server: HTTPServer

    init(_ url: String, port: UInt16) {
        let pool = PostgresPool(ConnectionConfiguration(url), settings: PoolSettings())
        var router = Router()
        router.get("/", always: Response(status: .ok, text: "{\"status\": true}\n", contentType: "application/json"))
        for (path, statement) in [("/ping", "select 1"), ("/accounts", "select sum(balance) from accounts")] {
            router.get(path) { _ in .later { await Self.answer(statement, from: pool) } }
        }
        self.pool = pool
        server = HTTPServer(configuration: ServerConfiguration(port: port), responder: router)
    }

    func start() throws {
        pool.start()
        _ = try server.start()
    }

    func shutDown() async {
        let deadline = MonotonicTime.now() + .seconds(4)
        _ = await server.drain(deadline: deadline)
        await pool.close(deadline: deadline)
    }

    /// Runs the statement within a second, including the wait for a connection.
    private static func answer(_ statement: String, from pool: PostgresPool) async -> Response {
        let deadline = MonotonicTime.now() + .seconds(1)
        do {
            let connection = try await pool.checkOut(deadline: deadline)
            defer { pool.release(connection) }
            _ = try await connection.query(statement, isIdempotent: true, deadline: deadline)
            return Response(status: .ok, text: "{\"status\": true}\n", contentType: "application/json")
        } catch {
            let code = (error as? PostgresError)?.code ?? (error as? PoolError)?.code ?? "INTERNAL"
            let text = "{\"status\": false, \"error\": {\"code\": \"\(code)\"}}\n"
            return Response(status: .serviceUnavailable, text: text, contentType: "application/json")
        }
    }
}
