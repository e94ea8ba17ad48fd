// Room: DarumaService
