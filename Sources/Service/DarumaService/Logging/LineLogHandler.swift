package import Logging

/// Writes one line per log event, as text or JSON, whatever the event contains.
package struct LineLogHandler: LogHandler {
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
    }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let format: Format
    private let sink: LogSink

    package init(label: String, format: Format, level: Logger.Level, sink: LogSink) {
        self.label = label
        self.format = format
        self.sink = sink
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let own = event.metadata { all.merge(own) { _, new in new } }
        let fields = all.sorted { $0.key < $1.key }.map { ($0.key, LogField($0.value)) }
        var timestamp = Timestamp()
        let time = String(decoding: timestamp.now(), as: UTF8.self)
        sink.write(line(event.level, "\(event.message)", fields, time: time))
    }

    /// The line, without its newline.
    func line(_ level: Logger.Level, _ message: String, _ fields: [(String, LogField)], time: String) -> String {
        switch format {
        case .json:
            let first: [(String, LogField)] = [
                ("time", .text(time)), ("level", .text(level.rawValue)), ("logger", .text(label)),
                ("message", .text(message)),
            ]
            let members = (first + fields).map { name, value in value.member(named: name) }
            return String(decoding: JSONValue.object(members).bytes(isCompact: true), as: UTF8.self)
        case .text:
            let pairs = fields.map { " \(Self.oneLine($0.0))=\(Self.quoted($0.1.text))" }.joined()
            return "\(time) \(level.rawValue) \(Self.oneLine(message))\(pairs)"
        }
    }

    /// Escapes control characters, which could forge a line or move a terminal's cursor.
    private static func oneLine(_ text: String) -> String {
        text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F || (0x80..<0xA0).contains($0.value) }
            ? JSONText.escaped(text).unicodeScalars.filter { !(0x80..<0xA0).contains($0.value) }
                .reduce(into: "") { $0.unicodeScalars.append($1) }
            : text
    }

    static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && !text.contains { $0 == " " || $0 == "\"" || $0 == "=" }
        return isPlain ? oneLine(text) : "\"" + oneLine(text.replacing("\"", with: "'")) + "\""
    }
}
