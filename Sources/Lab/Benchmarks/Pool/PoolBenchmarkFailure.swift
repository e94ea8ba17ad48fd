/// Why a figure could not be had.
package struct PoolBenchmarkFailure: Error, CustomStringConvertible {
    package let description: String
}
