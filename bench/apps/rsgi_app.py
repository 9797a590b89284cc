"""RSGI, granian's own protocol. Static files from memory: response_file gives no length, it sends
chunks.
"""

import json
from urllib.parse import parse_qs

from common import BINARY, HELLO, HTML, JSON, TEXT, message, page, resources

STATIC = resources()


async def app(scope, protocol):
    path = scope.path
    if path == "/":
        protocol.response_str(200, [("content-type", HTML)], HELLO)
    elif path == "/json":
        protocol.response_str(200, [("content-type", JSON)], json.dumps(message()))
    elif path.startswith("/user/"):
        number = int(path[6:])
        query = parse_qs(scope.query_string)
        protocol.response_str(
            200, [("content-type", TEXT)], f"User {number} asks for {query['q'][0]}"
        )
    elif path == "/echo":
        protocol.response_bytes(200, [("content-type", BINARY)], await protocol())
    elif path == "/page":
        protocol.response_str(200, [("content-type", HTML)], page())
    else:
        content_type, body = STATIC[path]
        protocol.response_bytes(200, [("content-type", content_type)], body)
