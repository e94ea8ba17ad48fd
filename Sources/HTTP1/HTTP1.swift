// Room: HTTP1
