import DispatchLoop
import HTTP1
import HTTPTypes

/// Checks that hold for all responses, whatever a handler returns.
package enum ResponseChecks {
    /// The error in a response made from `bytes`; `nil` if there is none.
    package static func breach(_ bytes: [UInt8]) -> String? {
        var generator = SplitMix64(hashing: bytes)
        return Attempt(bytes, using: &generator).breach(using: &generator)
    }
}

/// A response, and all inputs of its serialization.
private struct Attempt {
    private var response: Response
    private let isHead: Bool
    private let connection: ResponseSerializer.Connection
    private let requestID: String

    init(_ bytes: [UInt8], using generator: inout SplitMix64) {
        func piece() -> ArraySlice<UInt8> {
            guard !bytes.isEmpty else { return [] }
            let first = Int.random(in: 0..<bytes.count, using: &generator)
            return bytes[first...].prefix(Int.random(in: 0...64, using: &generator))
        }
        response = Response(
            status: HTTPResponse.Status(
                code: .random(in: 200...599, using: &generator), reasonPhrase: String(decoding: piece(), as: UTF8.self)),
            body: bytes)
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            guard let name = HTTPField.Name(String(decoding: piece().prefix(8), as: UTF8.self)) else { continue }
            response.fields.append(HTTPField(name: name, lenientValue: piece()))
        }
        requestID = String(decoding: piece().prefix(12), as: UTF8.self)
        isHead = Bool.random(using: &generator)
        let connections: [ResponseSerializer.Connection] = [.persists, .persistsForHTTP10, .closes]
        connection = connections.randomElement(using: &generator) ?? .persists
        if Bool.random(using: &generator) { response = response.prepared() }
    }

    private static let dateLine = Array("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".utf8)

    /// Serializes the response whole and as a stream, and parses both.
    func breach(using generator: inout SplitMix64) -> String? {
        var wire: [UInt8] = []
        ResponseSerializer.append(
            response, isHead: isHead, connection: connection, dateLine: Self.dateLine, requestID: requestID,
            to: &wire)
        if let breach = breach(of: wire, isStream: false) { return breach }

        wire = []
        ChunkedSerializer.appendHead(
            of: response, isChunked: true, connection: connection, dateLine: Self.dateLine, requestID: requestID,
            to: &wire)
        if !isHead, hasContent {
            for piece in Cut.random(response.body, using: &generator) {
                ChunkedSerializer.appendChunkLine(piece.count, to: &wire)
                wire += piece
                wire += ChunkedSerializer.chunkEnd
            }
            wire += ChunkedSerializer.lastChunk
        }
        return breach(of: wire, isStream: true).map { "streamed: \($0)" }
    }

    /// RFC 9110 §6.4.1, §15.3.6.
    private var hasContent: Bool { ![204, 205, 304].contains(response.status.code) }

    private func breach(of wire: [UInt8], isStream: Bool) -> String? {
        var lines: [[UInt8]] = []
        var position = 0
        while true {
            guard let end = wire[position...].firstIndex(of: 10), end > position, wire[end - 1] == 13 else {
                return "no end of the head"
            }
            let line = Array(wire[position..<(end - 1)])
            position = end + 1
            if line.isEmpty { break }
            guard line.allSatisfy(\.isFieldByte) else { return "a control character in the head" }
            lines.append(line)
        }
        guard lines.first?.starts(with: Array("HTTP/1.1 \(response.status.code) ".utf8)) == true else {
            return "another status"
        }
        var fields: [(name: String, value: String)] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0, line[..<colon].allSatisfy(\.isTchar)
            else { return "a line that is no field" }
            let value = Array(line[(colon + 1)...]).trimmed
            fields.append((String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        return breach(of: fields, isStream: isStream) ?? breach(ofBody: wire[position...], isStream: isStream)
    }

    private func breach(of fields: [(name: String, value: String)], isStream: Bool) -> String? {
        func values(_ name: String) -> [String] { fields.filter { $0.name.lowercased() == name }.map(\.value) }
        let servers = ["content-length", "connection", "transfer-encoding", "date"]
        let own = response.fields.map(\.name.rawName).filter { !servers.contains($0.lowercased()) }
        let id = requestID.utf8.filter { $0 > 0x20 && $0 < 0x7F }
        let expected = own + (requestID.isEmpty ? [] : ["X-Request-Id"])
        guard fields.map(\.name).filter({ !servers.contains($0.lowercased()) }) == expected else {
            return "other fields than were set"
        }
        if !requestID.isEmpty, values("x-request-id").last != String(decoding: id, as: UTF8.self) {
            return "another id"
        }
        guard values("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"] else { return "not one Date" }
        let options: [ResponseSerializer.Connection: [String]] = [
            .persistsForHTTP10: ["keep-alive"], .closes: ["close"],
        ]
        guard values("connection") == options[connection] ?? [] else { return "another Connection" }
        // RFC 9112 §6.2: never both. RFC 9110 §8.6: no length in 204; in 304 it would be that of the 200.
        let coding = isStream && hasContent ? ["chunked"] : []
        let hasLength = !isStream && ![204, 304].contains(response.status.code)
        guard values("transfer-encoding") == coding else { return "another Transfer-Encoding" }
        guard values("content-length") == (hasLength ? ["\(hasContent ? response.body.count : 0)"] : []) else {
            return "another Content-Length"
        }
        return nil
    }

    private func breach(ofBody body: ArraySlice<UInt8>, isStream: Bool) -> String? {
        var content = Array(body)
        if isStream, hasContent, !isHead {
            guard let decoded = Self.decodeChunks(body) else { return "chunks that cannot be read" }
            content = decoded
        }
        return content == (hasContent && !isHead ? response.body : []) ? nil : "another body"
    }

    private static func decodeChunks(_ wire: ArraySlice<UInt8>) -> [UInt8]? {
        var content: [UInt8] = []
        var rest = wire
        while let end = rest.firstIndex(of: 13) {
            guard let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16) else { return nil }
            let chunk = rest[(end + 2)...].prefix(size)
            rest = rest[(end + 2)...].dropFirst(size)
            guard chunk.count == size, rest.starts(with: [13, 10]) else { return nil }
            rest = rest.dropFirst(2)
            content += chunk
            if size == 0 { return rest.isEmpty ? content : nil }
        }
        return nil
    }
}
