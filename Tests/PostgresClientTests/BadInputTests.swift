import DispatchLoop
import PostgresClient
import PostgresTestKit
import Testing

/// Each bad value gives an error that names its column, and the next query on the same connection works.
@Suite(.timeLimit(.minutes(2))) struct BadInputTests {
    private func check<Value: PostgresDecodable>(
        _ sql: String, as type: Value.Type, is reason: PostgresDecodingError.Reason,
        on connection: PostgresLease
    ) async throws {
        let rows = try await connection.query("select 1 as ok, \(unescaped: sql) as bad")
        let error = #expect(throws: PostgresDecodingError.self, "\(sql)") { try rows.decodeOne((Int, Value).self) }
        #expect(error?.columnName == "bad")
        #expect(error?.columnIndex == 1)
        #expect(try await connection.query("select 7").decodeOne(Int.self) == 7)
        #expect(error?.reason == reason, "\(sql)")
    }

    @Test("values that the wanted type does not have")
    func values() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                try await check("null::int", as: Int.self, is: .isNull, on: connection)
                try await check("'x'::text", as: Int.self, is: .wrongType, on: connection)
                try await check("1::int", as: Bool.self, is: .wrongType, on: connection)
                try await check("1::numeric", as: Double.self, is: .wrongType, on: connection)
                try await check("128", as: Int8.self, is: .outOfRange, on: connection)
                try await check("-1", as: UInt.self, is: .outOfRange, on: connection)
                try await check("1e40::numeric", as: Int128.self, is: .outOfRange, on: connection)
                try await check("'NaN'::numeric", as: Int.self, is: .outOfRange, on: connection)
                try await check("array[[1,2],[3,4]]", as: [Int].self, is: .unsupportedArray, on: connection)
                try await check("'[0:1]={1,2}'::int[]", as: [Int].self, is: .unsupportedArray, on: connection)
                try await check("array[1,null]", as: [Int].self, is: .hasNullElement, on: connection)
                try await check("array['a']", as: [Int].self, is: .wrongType, on: connection)
                try await check("array[300]", as: [Int8].self, is: .outOfRange, on: connection)
            }
        }
    }

    @Test("statements that the server rejects")
    func rejected() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                let pid = try await connection.query("select pg_backend_pid()").decodeOne(Int.self)
                for (sql, state) in [
                    ("select 1/0", SQLState.divisionByZero), ("selec", .syntaxError),
                    ("select 'abc'::int", .invalidTextRepresentation), ("select * from nothing", .undefinedTable),
                ] {
                    let error = await #expect(throws: PostgresClientError.self) {
                        try await connection.query("\(unescaped: sql)")
                    }
                    #expect(error?.sqlState == state)
                    #expect(error?.kind == .rejected)
                    #expect(error?.isSafeToRetry == false)
                }
                #expect(try await connection.query("select pg_backend_pid()").decodeOne(Int.self) == pid)
            }
        }
    }

    @Test("a NUL in a text, and too many parameters, are refused before anything is sent")
    func neverSent() async throws {
        try await withSharedClient { client in
            for statement: SQLStatement in [
                "select \("a\0b")", "select \(["a\0b"])",
                try SQLStatement("select 1", parameters: Array(repeating: 1, count: 65_536)),
            ] {
                let error = await #expect(throws: PostgresClientError.self) { try await client.query(statement) }
                #expect(error?.kind == .invalidStatement)
            }
            #expect(try await client.query("select 7").decodeOne(Int.self) == 7)
        }
    }

    @Test("a text that is not UTF-8 is the server's error, and the connection goes on")
    func notUTF8() async throws {
        let sandbox = try await SharedSandbox.get()
        try await sandbox.execute(
            "create database ascii encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
        try await withClient(sandbox.connectionURL(database: "ascii")) { client in
            try await client.withConnection { connection in
                for bytes in ["\\xff", "\\x61e4", "\\xf09f98"] {
                    let error = await #expect(throws: PostgresClientError.self) {
                        try await connection.query("select convert_from('\(unescaped: bytes)', 'SQL_ASCII')")
                    }
                    #expect(error?.sqlState == .characterNotInRepertoire)
                }
                let read = try await connection.query("select 'ä'").decodeOne(String.self)
                #expect(read == "ä")
            }
        }
    }

    @Test("binary data is read in the older form, too")
    func escape() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                _ = try await connection.query("set bytea_output to escape")
                let bytes = Array(UInt8(0)...255)
                let (read, text) = try await connection.query("select \(bytes), (\(bytes))::text")
                    .decodeOne(([UInt8], String).self)
                #expect(read == bytes)
                #expect(text.contains("\\000"))
                _ = try await connection.query("reset bytea_output")
            }
        }
    }

    @Test("a statement that changes client_encoding is an error, and the connection goes on in UTF-8")
    func encoding() async throws {
        try await withSharedClient({ $0.pool.maximum = 1 }) { client in
            try await client.withConnection { connection in
                let error = await #expect(throws: PostgresClientError.self) {
                    try await connection.query("set client_encoding to 'LATIN1'")
                }
                #expect(error?.kind == .misuse)
                let text = try await connection.query("select \("ä€")::text").decodeOne(String.self)
                #expect(text == "ä€")
            }
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.query("set client_encoding to 'LATIN1'")
            }
            #expect(error?.kind == .misuse)
            #expect(try await client.query("show client_encoding").decodeOne(String.self) == "UTF8")
        }
    }

    @Test("session parameters are back for the next lease")
    func parameters() async throws {
        try await withSharedClient({ $0.pool.maximum = 1 }) { client in
            for (name, value, wanted) in [
                ("DateStyle", "German", "ISO"), ("TimeZone", "Asia/Kathmandu", "UTC"),
                ("IntervalStyle", "postgres", "iso_8601"),
            ] {
                let set: SQLStatement = "set \(unescaped: name) to '\(unescaped: value)'"
                let show: SQLStatement = "show \(unescaped: name)"
                _ = try await client.query(set)
                #expect(try await client.query(show).decodeOne(String.self).hasPrefix(wanted))
                try await client.withConnection { connection in
                    _ = try await connection.query(set)
                    #expect(try await connection.query(show).decodeOne(String.self).hasPrefix(value))
                }
                #expect(try await client.query(show).decodeOne(String.self).hasPrefix(wanted))
            }
        }
    }

    @Test("a role, and options of the connection string, change none of the pinned parameters")
    func pinned() async throws {
        let sandbox = try await SharedSandbox.get()
        _ = try await hostileURL()
        let url = sandbox.connectionURL(
            user: "hostile", password: "pw",
            parameters: ["options": "-c datestyle=SQL -c work_mem=5MB -c TimeZone=Asia/Kathmandu"])
        try await withClient(url) { client in
            for (name, wanted) in [
                ("DateStyle", "ISO, MDY"), ("IntervalStyle", "iso_8601"), ("TimeZone", "UTC"), ("bytea_output", "hex"),
                ("extra_float_digits", "1"), ("client_encoding", "UTF8"), ("work_mem", "5MB"), ("xmlbinary", "hex"),
            ] {
                let value = try await client.query("show \(unescaped: name)").decodeOne(String.self)
                #expect(value == wanted, "\(name)")
            }
        }
    }
}
