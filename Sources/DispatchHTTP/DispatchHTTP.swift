// Room: DispatchHTTP
