#!/usr/bin/env python3
"""A name server that knows no name: it answers NXDOMAIN, as the internet's do for the name of a container."""

import socket
import sys

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    query, client = server.recvfrom(512)
    end = query.find(b"\0", 12) + 5
    if 12 < end <= len(query):
        # RFC 1035 §4.1: the query's id and question; QR, RD, RA and RCODE 3; no records.
        server.sendto(query[:2] + b"\x81\x83\0\1" + bytes(6) + query[12:end], client)
