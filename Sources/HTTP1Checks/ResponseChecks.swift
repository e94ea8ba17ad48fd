import HTTP1
import HTTPTypes

/// What holds for all answers, whatever a handler puts into them.
package enum ResponseChecks {
    /// What is wrong with an answer that is made of `bytes`; `nil` when all is well.
    package static func breach(_ bytes: [UInt8]) -> String? {
        var generator = SeededGenerator(hashing: bytes)
        func piece() -> ArraySlice<UInt8> {
            guard !bytes.isEmpty else { return [] }
            let first = Int.random(in: 0..<bytes.count, using: &generator)
            return bytes[first...].prefix(Int.random(in: 0...64, using: &generator))
        }
        var response = Response(
            status: HTTPResponse.Status(
                code: .random(in: 200...599, using: &generator), reasonPhrase: String(decoding: piece(), as: UTF8.self)),
            body: bytes)
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            guard let name = HTTPField.Name(String(decoding: piece().prefix(8), as: UTF8.self)) else { continue }
            response.fields.append(HTTPField(name: name, lenientValue: piece()))
        }
        if Bool.random(using: &generator) { response = response.prepared() }
        let isHead = Bool.random(using: &generator)
        let connections: [ResponseSerializer.Connection] = [.persists, .persistsForHTTP10, .closes]
        let connection = connections.randomElement(using: &generator) ?? .persists

        var wire: [UInt8] = []
        ResponseSerializer.append(
            response, isHead: isHead, connection: connection, date: HTTPDate(secondsSinceEpoch: 784_111_777), to: &wire)
        return breach(wire, response, isHead, connection)
    }

    private static func breach(
        _ wire: [UInt8], _ response: Response, _ isHead: Bool, _ connection: ResponseSerializer.Connection
    ) -> String? {
        var lines: [[UInt8]] = []
        var position = 0
        while true {
            guard let end = wire[position...].firstIndex(of: 10), wire[end - 1] == 13 else {
                return "no end of the head"
            }
            let line = Array(wire[position..<(end - 1)])
            position = end + 1
            if line.isEmpty { break }
            guard line.allSatisfy(\.isFieldByte) else { return "a control character in the head" }
            lines.append(line)
        }
        let code = response.status.code
        guard lines[0].starts(with: Array("HTTP/1.1 \(code) ".utf8)) else { return "another status" }

        var fields: [(name: String, value: [UInt8])] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0, line[..<colon].allSatisfy(\.isTchar)
            else { return "a line that is no field" }
            fields.append((String(decoding: line[..<colon], as: UTF8.self), Array(line[(colon + 1)...]).trimmed))
        }
        func values(_ name: String) -> [String] {
            fields.filter { $0.name.lowercased() == name }.map { String(decoding: $0.value, as: UTF8.self) }
        }
        let servers = ["content-length", "connection", "transfer-encoding", "date"]
        let own = response.fields.filter { !servers.contains($0.name.canonicalName) }
        guard own.map(\.name.rawName) == fields.map(\.name).filter({ !servers.contains($0.lowercased()) }) else {
            return "other fields than were set"
        }
        guard values("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"] else { return "not one Date" }
        guard values("transfer-encoding").isEmpty else { return "a transfer coding" }
        let options: [ResponseSerializer.Connection: [String]] = [
            .persistsForHTTP10: ["keep-alive"], .closes: ["close"],
        ]
        guard values("connection") == options[connection] ?? [] else { return "another Connection" }

        // RFC 9110 §8.6, §15.3.6.
        let hasContent = ![204, 205, 304].contains(code)
        let length = [204, 304].contains(code) ? [] : [hasContent ? "\(response.body.count)" : "0"]
        guard values("content-length") == length else { return "another Content-Length" }
        let content = hasContent && !isHead ? response.body : []
        return Array(wire[position...]) == content ? nil : "another body"
    }
}
