"""aiohttp_session on uvloop, with the storage that its manual begins with: the data in a cookie
encrypted by cryptography's Fernet. `python aiohttp_sessions.py PORT`.

Its SimpleCookieStorage is quicker, but anybody could write what they like into it.
"""

from aiohttp import web
from aiohttp_app import run
from aiohttp_session import get_session, setup
from aiohttp_session.cookie_storage import EncryptedCookieStorage


async def counter(request):
    session = await get_session(request)
    hits = session["hits"] = session.get("hits", 0) + 1
    return web.Response(text=f"{hits}")


if __name__ == "__main__":
    app = web.Application()
    setup(app, EncryptedCookieStorage(b"a key for measuring, 32 bytes..."))
    app.router.add_get("/session", counter)
    run(app)
