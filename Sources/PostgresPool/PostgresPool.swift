// Room: PostgresPool
