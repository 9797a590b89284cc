"""socketify, with its own router. `python socketify_app.py PORT`.

Static files are answered from memory: its own reader opens the file at each request, in Python.
"""

import sys

from common import BINARY, HELLO, HTML, TEXT, message, page, resources
from socketify import App, AppListenOptions

STATIC = resources()


def hello(res, req):
    res.send(HELLO, HTML.encode())


def json(res, req):
    res.send(message())


def user(res, req):
    number = int(req.get_parameter(0))
    res.send(f"User {number} asks for {req.get_query('q')}", TEXT.encode())


def echo(res, req):
    """The body by callback, not by `await res.get_data()`: a coroutine for each request would cost
    far more.
    """
    body = bytearray()

    def received(res, chunk, is_end):
        if chunk is not None:
            body.extend(chunk)
        if is_end:
            res.cork_send(bytes(body), BINARY.encode())

    res.on_data(received)


def rendered(res, req):
    res.send(page(), HTML.encode())


def resource(path):
    content_type, body = STATIC[path]
    content_type = content_type.encode()
    return lambda res, req: res.send(body, content_type)


def main(port):
    app = App()
    app.get("/", hello)
    app.get("/json", json)
    app.get("/user/:id", user)
    app.post("/echo", echo)
    app.get("/page", rendered)
    for path in STATIC:
        app.get(path, resource(path))
    app.listen(AppListenOptions(port=port, host="127.0.0.1"))
    app.run()


if __name__ == "__main__":
    main(int(sys.argv[1]))
