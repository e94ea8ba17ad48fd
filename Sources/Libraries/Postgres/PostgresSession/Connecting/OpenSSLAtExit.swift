internal import Glibc

/// Keeps `exit(3)` from cleaning up OpenSSL while a helper thread still computes the keys of a login, which would end
/// the process with SIGSEGV instead of its exit status.
///
/// libpq loads OpenSSL; this package does not link it, so this code looks the function up by name. `NO_ATEXIT` works
/// only before any other use (OPENSSL_init_crypto(3)).
enum OpenSSLAtExit {
    private static let noAtExit: UInt64 = 0x0008_0000

    /// Disables the clean-up on first access; `false` if OpenSSL is not loaded.
    static let isLeftWhole: Bool = {
        guard let symbol = dlsym(nil, "OPENSSL_init_crypto") else { return false }
        typealias Initialize = @convention(c) (UInt64, OpaquePointer?) -> Int32
        return unsafeBitCast(symbol, to: Initialize.self)(noAtExit, nil) == 1
    }()
}
