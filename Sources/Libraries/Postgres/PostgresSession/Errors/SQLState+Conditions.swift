/// The codes that services act on; any other is `SQLState(rawValue:)`. The names are the manual's.
extension SQLState {
    // Class 02 - No Data (this is also a warning class per the SQL standard)
    /// 02000.
    public static var noData: SQLState { SQLState(known: "02000") }

    // Class 08 - Connection Exception
    /// 08000.
    public static var connectionException: SQLState { SQLState(known: "08000") }
    /// 08001.
    public static var sqlclientUnableToEstablishSqlconnection: SQLState { SQLState(known: "08001") }
    /// 08003.
    public static var connectionDoesNotExist: SQLState { SQLState(known: "08003") }
    /// 08004.
    public static var sqlserverRejectedEstablishmentOfSqlconnection: SQLState { SQLState(known: "08004") }
    /// 08006.
    public static var connectionFailure: SQLState { SQLState(known: "08006") }
    /// 08P01.
    public static var protocolViolation: SQLState { SQLState(known: "08P01") }

    // Class 0A - Feature Not Supported
    /// 0A000.
    public static var featureNotSupported: SQLState { SQLState(known: "0A000") }

    // Class 21 - Cardinality Violation
    /// 21000.
    public static var cardinalityViolation: SQLState { SQLState(known: "21000") }

    // Class 22 - Data Exception
    /// 22001.
    public static var stringDataRightTruncation: SQLState { SQLState(known: "22001") }
    /// 22003.
    public static var numericValueOutOfRange: SQLState { SQLState(known: "22003") }
    /// 22004.
    public static var nullValueNotAllowed: SQLState { SQLState(known: "22004") }
    /// 22007.
    public static var invalidDatetimeFormat: SQLState { SQLState(known: "22007") }
    /// 22008.
    public static var datetimeFieldOverflow: SQLState { SQLState(known: "22008") }
    /// 22012.
    public static var divisionByZero: SQLState { SQLState(known: "22012") }
    /// 22021.
    public static var characterNotInRepertoire: SQLState { SQLState(known: "22021") }
    /// 22023.
    public static var invalidParameterValue: SQLState { SQLState(known: "22023") }
    /// 22030.
    public static var duplicateJSONObjectKeyValue: SQLState { SQLState(known: "22030") }
    /// 22032.
    public static var invalidJSONText: SQLState { SQLState(known: "22032") }
    /// 22P02.
    public static var invalidTextRepresentation: SQLState { SQLState(known: "22P02") }
    /// 22P03.
    public static var invalidBinaryRepresentation: SQLState { SQLState(known: "22P03") }
    /// 22P04.
    public static var badCopyFileFormat: SQLState { SQLState(known: "22P04") }
    /// 22P05.
    public static var untranslatableCharacter: SQLState { SQLState(known: "22P05") }

    // Class 23 - Integrity Constraint Violation
    /// 23000.
    public static var integrityConstraintViolation: SQLState { SQLState(known: "23000") }
    /// 23001.
    public static var restrictViolation: SQLState { SQLState(known: "23001") }
    /// 23502.
    public static var notNullViolation: SQLState { SQLState(known: "23502") }
    /// 23503.
    public static var foreignKeyViolation: SQLState { SQLState(known: "23503") }
    /// 23505.
    public static var uniqueViolation: SQLState { SQLState(known: "23505") }
    /// 23514.
    public static var checkViolation: SQLState { SQLState(known: "23514") }
    /// 23P01.
    public static var exclusionViolation: SQLState { SQLState(known: "23P01") }

    // Class 25 - Invalid Transaction State
    /// 25000.
    public static var invalidTransactionState: SQLState { SQLState(known: "25000") }
    /// 25001.
    public static var activeSQLTransaction: SQLState { SQLState(known: "25001") }
    /// 25006.
    public static var readOnlySQLTransaction: SQLState { SQLState(known: "25006") }
    /// 25P01.
    public static var noActiveSQLTransaction: SQLState { SQLState(known: "25P01") }
    /// 25P02.
    public static var inFailedSQLTransaction: SQLState { SQLState(known: "25P02") }
    /// 25P03.
    public static var idleInTransactionSessionTimeout: SQLState { SQLState(known: "25P03") }

    // Class 26 - Invalid SQL Statement Name
    /// 26000.
    public static var invalidSQLStatementName: SQLState { SQLState(known: "26000") }

    // Class 28 - Invalid Authorization Specification
    /// 28000.
    public static var invalidAuthorizationSpecification: SQLState { SQLState(known: "28000") }
    /// 28P01.
    public static var invalidPassword: SQLState { SQLState(known: "28P01") }

    // Class 2D - Invalid Transaction Termination
    /// 2D000.
    public static var invalidTransactionTermination: SQLState { SQLState(known: "2D000") }

    // Class 3B - Savepoint Exception
    /// 3B001.
    public static var invalidSavepointSpecification: SQLState { SQLState(known: "3B001") }

    // Class 3D - Invalid Catalog Name
    /// 3D000.
    public static var invalidCatalogName: SQLState { SQLState(known: "3D000") }

    // Class 3F - Invalid Schema Name
    /// 3F000.
    public static var invalidSchemaName: SQLState { SQLState(known: "3F000") }

    // Class 40 - Transaction Rollback
    /// 40000.
    public static var transactionRollback: SQLState { SQLState(known: "40000") }
    /// 40001.
    public static var serializationFailure: SQLState { SQLState(known: "40001") }
    /// 40002.
    public static var transactionIntegrityConstraintViolation: SQLState { SQLState(known: "40002") }
    /// 40003.
    public static var statementCompletionUnknown: SQLState { SQLState(known: "40003") }
    /// 40P01.
    public static var deadlockDetected: SQLState { SQLState(known: "40P01") }

    // Class 42 - Syntax Error or Access Rule Violation
    /// 42000.
    public static var syntaxErrorOrAccessRuleViolation: SQLState { SQLState(known: "42000") }
    /// 42501.
    public static var insufficientPrivilege: SQLState { SQLState(known: "42501") }
    /// 42601.
    public static var syntaxError: SQLState { SQLState(known: "42601") }
    /// 42602.
    public static var invalidName: SQLState { SQLState(known: "42602") }
    /// 42622.
    public static var nameTooLong: SQLState { SQLState(known: "42622") }
    /// 42701.
    public static var duplicateColumn: SQLState { SQLState(known: "42701") }
    /// 42702.
    public static var ambiguousColumn: SQLState { SQLState(known: "42702") }
    /// 42703.
    public static var undefinedColumn: SQLState { SQLState(known: "42703") }
    /// 42704.
    public static var undefinedObject: SQLState { SQLState(known: "42704") }
    /// 42710.
    public static var duplicateObject: SQLState { SQLState(known: "42710") }
    /// 42712.
    public static var duplicateAlias: SQLState { SQLState(known: "42712") }
    /// 42723.
    public static var duplicateFunction: SQLState { SQLState(known: "42723") }
    /// 42725.
    public static var ambiguousFunction: SQLState { SQLState(known: "42725") }
    /// 42803.
    public static var groupingError: SQLState { SQLState(known: "42803") }
    /// 42804.
    public static var datatypeMismatch: SQLState { SQLState(known: "42804") }
    /// 42809.
    public static var wrongObjectType: SQLState { SQLState(known: "42809") }
    /// 42830.
    public static var invalidForeignKey: SQLState { SQLState(known: "42830") }
    /// 42846.
    public static var cannotCoerce: SQLState { SQLState(known: "42846") }
    /// 42883.
    public static var undefinedFunction: SQLState { SQLState(known: "42883") }
    /// 42P01.
    public static var undefinedTable: SQLState { SQLState(known: "42P01") }
    /// 42P02.
    public static var undefinedParameter: SQLState { SQLState(known: "42P02") }
    /// 42P03.
    public static var duplicateCursor: SQLState { SQLState(known: "42P03") }
    /// 42P04.
    public static var duplicateDatabase: SQLState { SQLState(known: "42P04") }
    /// 42P05.
    public static var duplicatePreparedStatement: SQLState { SQLState(known: "42P05") }
    /// 42P06.
    public static var duplicateSchema: SQLState { SQLState(known: "42P06") }
    /// 42P07.
    public static var duplicateTable: SQLState { SQLState(known: "42P07") }
    /// 42P10.
    public static var invalidColumnReference: SQLState { SQLState(known: "42P10") }
    /// 42P16.
    public static var invalidTableDefinition: SQLState { SQLState(known: "42P16") }
    /// 42P18.
    public static var indeterminateDatatype: SQLState { SQLState(known: "42P18") }
    /// 42P22.
    public static var indeterminateCollation: SQLState { SQLState(known: "42P22") }

    // Class 44 - WITH CHECK OPTION Violation
    /// 44000.
    public static var withCheckOptionViolation: SQLState { SQLState(known: "44000") }

    // Class 53 - Insufficient Resources
    /// 53000.
    public static var insufficientResources: SQLState { SQLState(known: "53000") }
    /// 53100.
    public static var diskFull: SQLState { SQLState(known: "53100") }
    /// 53200.
    public static var outOfMemory: SQLState { SQLState(known: "53200") }
    /// 53300.
    public static var tooManyConnections: SQLState { SQLState(known: "53300") }
    /// 53400.
    public static var configurationLimitExceeded: SQLState { SQLState(known: "53400") }

    // Class 54 - Program Limit Exceeded
    /// 54000.
    public static var programLimitExceeded: SQLState { SQLState(known: "54000") }
    /// 54001.
    public static var statementTooComplex: SQLState { SQLState(known: "54001") }
    /// 54011.
    public static var tooManyColumns: SQLState { SQLState(known: "54011") }
    /// 54023.
    public static var tooManyArguments: SQLState { SQLState(known: "54023") }

    // Class 55 - Object Not In Prerequisite State
    /// 55000.
    public static var objectNotInPrerequisiteState: SQLState { SQLState(known: "55000") }
    /// 55006.
    public static var objectInUse: SQLState { SQLState(known: "55006") }
    /// 55P02.
    public static var cantChangeRuntimeParam: SQLState { SQLState(known: "55P02") }
    /// 55P03.
    public static var lockNotAvailable: SQLState { SQLState(known: "55P03") }

    // Class 57 - Operator Intervention
    /// 57000.
    public static var operatorIntervention: SQLState { SQLState(known: "57000") }
    /// 57014.
    public static var queryCanceled: SQLState { SQLState(known: "57014") }
    /// 57P01.
    public static var adminShutdown: SQLState { SQLState(known: "57P01") }
    /// 57P02.
    public static var crashShutdown: SQLState { SQLState(known: "57P02") }
    /// 57P03.
    public static var cannotConnectNow: SQLState { SQLState(known: "57P03") }
    /// 57P04.
    public static var databaseDropped: SQLState { SQLState(known: "57P04") }
    /// 57P05.
    public static var idleSessionTimeout: SQLState { SQLState(known: "57P05") }

    // Class 58 - System Error (errors external to PostgreSQL itself)
    /// 58000.
    public static var systemError: SQLState { SQLState(known: "58000") }
    /// 58030.
    public static var ioError: SQLState { SQLState(known: "58030") }

    // Class P0 - PL/pgSQL Error
    /// P0001.
    public static var raiseException: SQLState { SQLState(known: "P0001") }
    /// P0002.
    public static var noDataFound: SQLState { SQLState(known: "P0002") }
    /// P0003.
    public static var tooManyRows: SQLState { SQLState(known: "P0003") }
    /// P0004.
    public static var assertFailure: SQLState { SQLState(known: "P0004") }

    // Class XX - Internal Error
    /// XX000.
    public static var internalError: SQLState { SQLState(known: "XX000") }
    /// XX001.
    public static var dataCorrupted: SQLState { SQLState(known: "XX001") }
    /// XX002.
    public static var indexCorrupted: SQLState { SQLState(known: "XX002") }
}
