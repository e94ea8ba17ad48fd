extension Setting {
    /// The variable with the program's prefix, which is read first: `DARUMA_POOL_MAX_IDLE`.
    package var prefixedVariable: String { "DARUMA_" + bareVariable }

    /// The variable without the prefix: `POOL_MAX_IDLE`. Read second, and deprecated unless ``isConventional``.
    package var bareVariable: String { words.joined(separator: "_").uppercased() }

    /// The variable that `--help` names.
    package var variable: String { isConventional ? bareVariable : prefixedVariable }

    /// Whether platforms and images set the bare variable by convention.
    private var isConventional: Bool {
        switch self {
        case .host, .port, .databaseURL, .logLevel: true
        default: false
        }
    }

    /// The value in the environment, its variable, and whether that variable is deprecated. An empty variable counts as
    /// unset.
    package func value(
        in environment: (String) -> String?
    ) -> (text: String, variable: String, isDeprecated: Bool)? {
        for variable in [prefixedVariable, bareVariable] {
            guard let text = environment(variable), !text.isEmpty, !Self.isServiceLink(variable, text) else { continue }
            return (text, variable, variable == bareVariable && !isConventional)
        }
        return nil
    }

    /// Whether Kubernetes set the variable: for a Service named `admin` it sets `ADMIN_PORT=tcp://10.0.0.1:80`, and for
    /// one named `daruma` `DARUMA_PORT=tcp://…`
    /// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
    private static func isServiceLink(_ variable: String, _ text: String) -> Bool {
        variable.hasSuffix("_PORT") && ["tcp://", "udp://", "sctp://"].contains { text.lowercased().hasPrefix($0) }
    }
}
