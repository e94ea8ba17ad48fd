import PostgresTestKit

/// A certificate authority and certificates for `localhost`, created by openssl in a folder.
struct Certificates {
    /// A certificate and its key.
    struct Pair {
        let certificate: String
        let key: String
    }

    private let folder: String

    var root: String { "\(folder)/root.crt" }
    var good: Pair { pair("good") }
    /// Signed by the same authority, and expired.
    var expired: Pair { pair("expired") }
    /// Signed by an authority that the service does not know.
    var foreign: Pair { pair("foreign") }

    private func pair(_ name: String) -> Pair {
        Pair(certificate: "\(folder)/\(name).crt", key: "\(folder)/\(name).key")
    }

    init(existingIn folder: String) { self.folder = folder }

    init(in folder: String) async throws {
        self.folder = folder
        let script = """
            set -e
            cd "$1"
            curve='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
            openssl req -x509 $curve -keyout root.key -out root.crt -subj /CN=daruma-test-authority -days 2
            for name in good expired; do
                openssl req $curve -keyout $name.key -out $name.csr -subj /CN=localhost \
                    -addext subjectAltName=DNS:localhost
                days=2
                if [ $name = expired ]; then days=-1; fi
                openssl x509 -req -in $name.csr -CA root.crt -CAkey root.key -CAcreateserial -days $days \
                    -copy_extensions copy -out $name.crt
            done
            openssl req -x509 $curve -keyout foreign.key -out foreign.crt -subj /CN=localhost -days 2 \
                -addext subjectAltName=DNS:localhost
            chmod 644 root.crt
            """
        try await Command(executable: "/bin/sh", arguments: ["-c", script, "sh", folder]).run()
    }
}

extension PostgresSandbox {
    /// Installs the pair as the server's. It takes effect after a reload.
    func install(_ pair: Certificates.Pair) async throws {
        for (from, name) in [(pair.certificate, "server.crt"), (pair.key, "server.key")] {
            guard let text = Files.read(from) else { throw SandboxError(.folder, "cannot read \(from)") }
            let path = "\(dataFolder)/\(name)"
            try Files.write(text, to: path)
            try Files.give(path, to: account)
        }
    }
}
