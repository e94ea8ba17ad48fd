internal import Glibc

/// Keeps OpenSSL whole until the process has ended. By default `exit(3)` takes it apart, under the hands of a helper that
/// still computes the keys of a log-in: the process would end with SIGSEGV in place of its status.
///
/// libpq brings OpenSSL along; this package does not link it, so the function is looked for by its name. `NO_ATEXIT` counts
/// only when it comes before all other use (OPENSSL_init_crypto(3)).
enum OpenSSLAtExit {
    private static let noAtExit: UInt64 = 0x0008_0000

    /// Whether that was done; done when first asked.
    static let isLeftWhole: Bool = {
        guard let symbol = dlsym(nil, "OPENSSL_init_crypto") else { return false }
        typealias Initialize = @convention(c) (UInt64, OpaquePointer?) -> Int32
        return unsafeBitCast(symbol, to: Initialize.self)(noAtExit, nil) == 1
    }()
}
