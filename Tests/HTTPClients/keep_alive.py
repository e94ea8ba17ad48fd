"""Python's three ways to keep connections, against the service at argv[1]. Prints what each saw; exits with 1 if a
request failed or a connection was not used again."""

import http.client
import sys
import threading
from urllib.parse import urlsplit

import requests
import urllib3

url = sys.argv[1].rstrip("/")
host = urlsplit(url).netloc
failed = []


def report(name, requests_made, connections, most, problems):
    print(f"{name}: {requests_made} requests, {connections} connections, {problems} failed")
    if problems or connections > most:
        failed.append(name)


def with_http_client():
    connection = http.client.HTTPConnection(host, timeout=10)
    sockets, problems = set(), 0
    # (method, path, body, fields, status)
    kinds = [
        ("GET", "/", None, {}, 200),
        ("HEAD", "/", None, {}, 200),
        ("GET", "/nowhere", None, {}, 404),
        ("POST", "/", b"x" * 10_000, {}, 405),
        ("PUT", "/", (b"y" * 1000 for _ in range(10)), {"Transfer-Encoding": "chunked"}, 405),
        ("OPTIONS", "*", None, {}, 204),
    ]
    for number in range(1200):
        method, path, body, fields, status = kinds[number % len(kinds)]
        if method == "PUT":
            body = (b"y" * 1000 for _ in range(10))
        connection.request(method, path, body=body, headers=fields, encode_chunked=method == "PUT")
        sockets.add(connection.sock.getsockname())
        response = connection.getresponse()
        content = response.read()
        has_content = method != "HEAD" and status != 204
        if response.status != status or bool(content) != has_content:
            problems += 1
    connection.close()
    report("http.client", 1200, len(sockets), 1, problems)


def with_requests():
    problems = 0
    with requests.Session() as session:
        for number in range(1000):
            response = session.get(url + "/", timeout=10)
            if response.status_code != 200 or response.json() != {"status": True}:
                problems += 1
        # The pools count what they have opened.
        pools = session.get_adapter(url).poolmanager.pools
        connections = sum(pools[key].num_connections for key in pools.keys())
    report("requests", 1000, connections, 1, problems)


def with_urllib3():
    pool = urllib3.HTTPConnectionPool(*host.split(":"), maxsize=4, block=True, timeout=10, retries=False)
    problems = []

    def ask():
        for _ in range(250):
            response = pool.request("GET", "/livez")
            if response.status != 200:
                problems.append(response.status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report("urllib3", pool.num_requests, pool.num_connections, 4, len(problems) + (pool.num_requests != 2000))


with_http_client()
with_requests()
with_urllib3()
sys.exit(1 if failed else 0)
