#if Foundation
    public import Foundation

    extension Data: PostgresCodable {
        /// `bytea`.
        public static var postgresType: PostgresType { .bytea }

        /// The hexadecimal form.
        public func postgresText() throws -> String? { BytesText.text(of: self) }

        /// Reads `bytea`.
        public static func decode(_ value: PostgresValue) throws -> Data {
            Data(try BytesText.bytes(in: value.text(of: .bytea)))
        }
    }
#endif
