import DispatchPostgres
import HTTP1
import HTTPTypes
import PostgresSession
import Testing

@testable import DarumaService

private func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

@Suite struct PingResponseTests {
    @Test("a successful ping has the result in the form of node-postgres, indented by two spaces")
    func success() {
        let result = QueryResult(
            command: "SELECT", rowCount: 1,
            columns: [QueryResult.Column(name: "?column?", typeID: 23, typeSize: 4)], values: ["1"])
        let response = PingResponse.success(result)
        #expect(response.status == .ok)
        #expect(response.fields[.contentType] == "application/json; charset=utf-8")
        #expect(response.fields[.cacheControl] == "no-store")
        #expect(
            text(response) == """
                {
                  "status": true,
                  "result": {
                    "command": "SELECT",
                    "rowCount": 1,
                    "rows": [
                      {
                        "?column?": 1
                      }
                    ],
                    "fields": [
                      {
                        "name": "?column?",
                        "tableID": 0,
                        "columnID": 0,
                        "dataTypeID": 23,
                        "dataTypeSize": 4,
                        "dataTypeModifier": -1,
                        "format": "text"
                      }
                    ]
                  }
                }
                """)
    }

    @Test("a failure has cause, state, duration and next connect, but not the server's address")
    func outage() {
        let cause = PostgresError(
            code: "57P03", severity: .fatal, message: "the database system is starting up", disposition: .outage,
            endpoint: "db.internal:5432")
        let error = PoolError(
            kind: .unavailable, health: .down, cause: cause, outageDuration: .milliseconds(1234),
            nextAttempt: .milliseconds(50))
        let response = PingResponse.failure(error, status: .badRequest)
        #expect(response.status == .badRequest)
        #expect(
            text(response) == """
                {
                  "status": false,
                  "error": {
                    "code": "57P03",
                    "severity": "FATAL",
                    "message": "the database system is starting up",
                    "state": "down",
                    "downForMs": 1234,
                    "nextTryInMs": 50
                  }
                }
                """)
    }

    @Test("a fully used pool is saturated, not down")
    func saturated() {
        let answer = text(
            PingResponse.failure(PoolError(kind: .saturated, health: .up), status: .serviceUnavailable))
        #expect(answer.contains(#""state": "saturated""#))
        #expect(answer.contains(#""code": "POOL_SATURATED""#))
    }

    @Test("an unknown error shows no detail")
    func unforeseen() {
        struct Secret: Error { let password = "hunter2" }
        #expect(!text(PingResponse.failure(Secret(), status: .badRequest)).contains("hunter2"))
    }

    @Test(
        "a value is a JSON number if JavaScript can hold it",
        arguments: [
            ("1", 23, "1"), ("-5", 21, "-5"), ("9223372036854775807", 20, "\"9223372036854775807\""), ("t", 16, "true"),
            ("f", 16, "false"), ("1.5", 701, "1.5"), ("NaN", 701, "\"NaN\""), ("Infinity", 700, "\"Infinity\""),
            ("1.10", 1700, "\"1.10\""), ("a\"b", 25, #""a\"b""#), ("\u{1}", 25, #""\u0001""#),
        ])
    func values(value: String, typeID: UInt32, json: String) {
        #expect(String(decoding: PingResponse.value(value, typeID: typeID).bytes(), as: UTF8.self) == json)
    }

    @Test("NULL is null, and empty lists are brackets")
    func nothing() {
        #expect(String(decoding: PingResponse.value(nil, typeID: 23).bytes(), as: UTF8.self) == "null")
        #expect(String(decoding: JSONValue.array([]).bytes(), as: UTF8.self) == "[]")
        #expect(String(decoding: JSONValue.object([]).bytes(), as: UTF8.self) == "{}")
    }
}
