// One import is enough for users. Single types, so that nothing of the event loop comes with them.
@_exported public import enum DispatchPostgres.DatabaseState
@_exported public import struct DispatchPostgres.PoolError
@_exported public import struct DispatchPostgres.PoolSettings
@_exported public import class DispatchPostgres.Subscription
@_exported public import enum DispatchPostgres.SubscriptionEvent
@_exported public import struct PostgresSession.ConnectionConfiguration
@_exported public import enum PostgresSession.Disposition
@_exported public import struct PostgresSession.Notification
@_exported public import struct PostgresSession.PostgresError
@_exported public import struct PostgresSession.SQLState
@_exported public import enum PostgresSession.Severity
