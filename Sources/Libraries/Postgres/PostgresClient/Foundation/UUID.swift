#if Foundation
    public import Foundation

    extension UUID: PostgresCodable {
        /// `uuid`.
        public static var postgresType: PostgresType { .uuid }

        /// The usual form.
        public func postgresText() throws -> String? { uuidString }

        /// Reads `uuid`.
        public static func decode(_ value: PostgresValue) throws -> UUID {
            guard let uuid = UUID(uuidString: try value.text(of: .uuid)) else {
                throw PostgresDecodingError.Reason.malformed
            }
            return uuid
        }
    }
#endif
