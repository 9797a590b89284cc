"""aiohttp on uvloop. `python aiohttp_app.py PORT`."""

import sys

import uvloop
from aiohttp import web
from common import BINARY, HELLO, message, page, resource_folder

routes = web.RouteTableDef()
routes.static("/static", resource_folder())


@routes.get("/")
async def hello(request):
    return web.Response(text=HELLO, content_type="text/html")


@routes.get("/json")
async def json(request):
    return web.json_response(message())


@routes.get("/user/{id}")
async def user(request):
    number = int(request.match_info["id"])
    return web.Response(text=f"User {number} asks for {request.query['q']}")


@routes.post("/echo")
async def echo(request):
    return web.Response(body=await request.read(), content_type=BINARY)


@routes.get("/page")
async def rendered(request):
    return web.Response(text=page(), content_type="text/html")


def run(app):
    web.run_app(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        print=None,
        backlog=4096,
        keepalive_timeout=120,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    app = web.Application()
    app.add_routes(routes)
    run(app)
