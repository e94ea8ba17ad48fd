/// Instruments by error code. Bounded, because an SQLSTATE can be any five characters: beyond the limit all further codes
/// share one instrument.
struct InstrumentsByCode<Instrument> {
    /// The label of all further codes, as in OpenTelemetry's conventions.
    private static var other: String { "_OTHER" }
    private static var limit: Int { 100 }

    private let make: (String) -> Instrument
    private var instruments: [String: Instrument] = [:]

    /// Makes the instruments of the codes in `known` at once.
    init(known: [String] = [], _ make: @escaping (String) -> Instrument) {
        self.make = make
        for code in known { _ = self[code] }
    }

    subscript(code: String) -> Instrument {
        mutating get {
            if let known = instruments[code] { return known }
            let label = instruments.count < Self.limit ? code : Self.other
            let instrument = instruments[label] ?? make(label)
            instruments[label] = instrument
            return instrument
        }
    }
}
