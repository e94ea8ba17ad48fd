import Glibc
import HTTP1Checks

// libFuzzer's entry point, as a library call: Swift would name `main` differently from what libFuzzer expects.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ tryInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Runs the checks on the inputs of libFuzzer. `scripts/fuzz` builds and runs it.
@main
enum HTTP1Fuzz {
    static func main() {
        let arguments = CommandLine.arguments
        if arguments.count == 3, arguments[1] == "--write-seeds" { return writeSeeds(arguments[2]) }
        var count = CommandLine.argc
        var pointer = CommandLine.unsafeArgv
        exit(runDriver(&count, &pointer) { HTTP1Fuzz.tryInput(UnsafeBufferPointer(start: $0, count: $1)) })
    }

    private static func tryInput(_ input: UnsafeBufferPointer<UInt8>) -> CInt {
        let bytes = Array(input)
        // libFuzzer recognises a finding by the crash, keeps the input, and prints the message.
        if let breach = ParserChecks.breach(bytes) ?? ResponseChecks.breach(bytes) { fatalError(breach) }
        return 0
    }

    /// Writes one seed file per wire case.
    private static func writeSeeds(_ folder: String) {
        let wires = AcceptedWire.all.map(\.wire) + RefusedWire.all.map(\.wire)
        for (number, wire) in wires.enumerated() where wire.utf8.count < 32_768 {
            guard let file = fopen("\(folder)/case-\(number)", "w") else {
                perror(folder)
                exit(73)  // EX_CANTCREAT
            }
            let bytes = Array(wire.utf8)
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
    }
}
