import Foundation
import Hummingbird
import Logging

struct Answer: ResponseEncodable {
    let status: Bool
}

/// Pretty-printed, as the others do.
struct Context: RequestContext {
    var coreContext: CoreRequestContextStorage

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
    }

    var responseEncoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .prettyPrinted
        return encoder
    }
}

/// Hummingbird, written as its documentation has it, for `/` only: PostgresNIO is not among Debian's packages.
let router = Router(context: Context.self)
router.get("/") { _, _ in Answer(status: true) }
let port = Int(ProcessInfo.processInfo.environment["PORT"] ?? "") ?? 8080
var logger = Logger(label: "hummingbird")
logger.logLevel = .warning
let application = Application(
    router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)), logger: logger)
try await application.runService()
