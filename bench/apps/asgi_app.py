"""Plain ASGI, for uvicorn and granian."""

import json
from urllib.parse import parse_qs

from common import BINARY, HELLO, HTML, JSON, TEXT, message, page, resources

STATIC = resources()


async def body_of(receive):
    body = b""
    while True:
        event = await receive()
        body += event["body"]
        if not event["more_body"]:
            return body


async def answer(scope, receive):
    path = scope["path"]
    if path == "/":
        return HTML, HELLO.encode()
    if path == "/json":
        return JSON, json.dumps(message()).encode()
    if path.startswith("/user/"):
        number = int(path[6:])
        query = parse_qs(scope["query_string"].decode())
        return TEXT, f"User {number} asks for {query['q'][0]}".encode()
    if path == "/echo":
        return BINARY, await body_of(receive)
    if path == "/page":
        return HTML, page().encode()
    return STATIC[path]


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError(
            "only HTTP is served"
        )  # the lifespan protocol takes this for "not supported"
    content_type, body = await answer(scope, receive)
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
