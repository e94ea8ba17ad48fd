package import DispatchLoop

extension SplitMix64 {
    /// A generator seeded with a hash of `bytes` (FNV-1a), so that equal inputs give equal choices.
    package init(hashing bytes: some Sequence<UInt8>) {
        self.init(seed: bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    }
}
