"""Starlette, with its own router, responses and static files."""

from common import BINARY, HELLO, message, page, resource_folder
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles


async def hello(request):
    return HTMLResponse(HELLO)


async def json(request):
    return JSONResponse(message())


async def user(request):
    number = request.path_params["id"]
    return PlainTextResponse(f"User {number} asks for {request.query_params['q']}")


async def echo(request):
    return Response(await request.body(), media_type=BINARY)


async def rendered(request):
    return HTMLResponse(page())


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/json", json),
        Route("/user/{id:int}", user),
        Route("/echo", echo, methods=["POST"]),
        Route("/page", rendered),
        Mount("/static", StaticFiles(directory=resource_folder())),
    ]
)
