package import DispatchLoop

/// Ways to cut bytes before they reach the parser.
package enum Cut: CaseIterable, CustomStringConvertible, Sendable {
    case whole
    case byteByByte
    /// In one piece, with a further request after it.
    case withTrailingBytes
    case byteByByteWithTrailingBytes

    package var description: String {
        switch self {
        case .whole: "whole"
        case .byteByByte: "byte by byte"
        case .withTrailingBytes: "with trailing bytes"
        case .byteByByteWithTrailingBytes: "byte by byte, with trailing bytes"
        }
    }

    package var hasTrailingBytes: Bool { self == .withTrailingBytes || self == .byteByByteWithTrailingBytes }

    /// A request that differs from every case.
    package static let trailing = "GET /trailing HTTP/1.1\r\nHost: trailing\r\n\r\n"

    package func pieces(_ wire: String) -> [[UInt8]] {
        let bytes = Array((hasTrailingBytes ? wire + Self.trailing : wire).utf8)
        switch self {
        case .whole, .withTrailingBytes: return [bytes]
        case .byteByByte, .byteByByteWithTrailingBytes:
            // Cutting a megabyte of body into bytes takes seconds; the first and last 4 KiB suffice.
            guard bytes.count > 65_536 else { return bytes.map { [$0] } }
            return bytes.prefix(4096).map { [$0] } + [Array(bytes.dropFirst(4096).dropLast(4096))]
                + bytes.suffix(4096).map { [$0] }
        }
    }

    /// Pieces of random length, none empty.
    package static func random(_ wire: [UInt8], using generator: inout SplitMix64) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = wire[...]
        let longest = [1, 2, 7, 100, 2000].randomElement(using: &generator) ?? 1
        while !rest.isEmpty {
            let length = min(rest.count, Int.random(in: 1...longest, using: &generator))
            pieces.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return pieces
    }
}
