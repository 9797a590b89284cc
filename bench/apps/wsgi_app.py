"""Plain WSGI, for bjoern, fastpysgi and granian. `python wsgi_app.py bjoern|fastpysgi PORT` serves
it with one of them.
"""

import json
import sys
from urllib.parse import parse_qs

from common import BINARY, HELLO, HTML, JSON, TEXT, message, page, resources

STATIC = resources()


def answer(environ):
    path = environ["PATH_INFO"]
    if path == "/":
        return HTML, HELLO.encode()
    if path == "/json":
        return JSON, json.dumps(message()).encode()
    if path.startswith("/user/"):
        number = int(path[6:])
        query = parse_qs(environ.get("QUERY_STRING", ""))
        return TEXT, f"User {number} asks for {query['q'][0]}".encode()
    if path == "/echo":
        return BINARY, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    if path == "/page":
        return HTML, page().encode()
    return STATIC[path]


def app(environ, start_response):
    content_type, body = answer(environ)
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    server, port = sys.argv[1], int(sys.argv[2])
    if server == "bjoern":
        import bjoern

        bjoern.run(app, "127.0.0.1", port, listen_backlog=4096)
    else:
        import fastpysgi

        fastpysgi.server.backlog = 4096
        fastpysgi.server.tcp_nodelay = 1  # else pipelined answers wait for the client's delayed ACK
        fastpysgi.run(app, host="127.0.0.1", port=port, workers=1)
