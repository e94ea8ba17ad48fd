// Room: PostgresConnection
