/// SQL's quoting.
package enum SQLText {
    package static func identifier(_ name: String) -> String { "\"\(name.replacing("\"", with: "\"\""))\"" }

    package static func literal(_ text: String) -> String { "'\(text.replacing("'", with: "''"))'" }
}
