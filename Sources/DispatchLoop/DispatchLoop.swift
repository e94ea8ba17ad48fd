// Room: DispatchLoop
