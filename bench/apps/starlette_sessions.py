"""Starlette's SessionMiddleware: the data in a cookie signed by itsdangerous."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def counter(request):
    hits = request.session["hits"] = request.session.get("hits", 0) + 1
    return PlainTextResponse(f"{hits}")


app = Starlette(
    routes=[Route("/session", counter)],
    middleware=[Middleware(SessionMiddleware, secret_key="a key for measuring, 32 bytes....")],
)
