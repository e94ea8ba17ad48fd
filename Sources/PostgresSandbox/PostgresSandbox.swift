// Room: PostgresSandbox
