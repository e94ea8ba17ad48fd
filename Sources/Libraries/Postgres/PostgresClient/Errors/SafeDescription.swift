internal import DispatchPostgres
internal import PostgresSession

extension PostgresError {
    /// Classes of SQLSTATE whose messages name tables, columns and constraints, and never quote a value. Not 22, which
    /// quotes the value that cannot be converted, nor P0, whose text a function wrote, nor those of extensions.
    private static let harmlessClasses: Set<Substring> = [
        "02", "08", "0A", "21", "23", "24", "25", "26", "28", "2B", "2D", "34", "3B", "3D", "3F", "40", "42", "44",
        "53",
        "54", "55", "57", "58",
    ]

    /// The error without values of rows and parameters: no detail, no hint, and the message only where none is in it.
    var safeDescription: String {
        guard let state = sqlState else { return description }
        let severity = severity?.rawValue ?? "ERROR"
        guard Self.harmlessClasses.contains(state.classCode) else {
            let context = message.hasPrefix(Self.setUpFailure) ? "\(Self.setUpFailure): " : ""
            return "\(context)\(severity) \(state)"
        }
        return "\(severity) \(state): \(message)"
    }
}

extension PoolError {
    /// The refusal and the outage's cause.
    var safeDescription: String {
        switch kind {
        case .unavailable: cause?.safeDescription ?? description
        case .saturated, .closed, .notStarted, .wrongProcess, .cancelled: description
        }
    }
}
