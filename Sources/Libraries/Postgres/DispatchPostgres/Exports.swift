// One import for those who use the pool: its interface has types of these two.
@_exported public import DispatchLoop
@_exported public import PostgresSession
