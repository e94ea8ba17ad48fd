// One import is enough for users: the interface has types of these two modules.
@_exported public import DispatchLoop
@_exported public import PostgresSession
