"""FastAPI, as its documentation writes it: typed parameters, an object returned as JSON."""

from common import BINARY, HELLO, message, page, resource_folder
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

app = FastAPI()
app.mount("/static", StaticFiles(directory=resource_folder()))


@app.get("/", response_class=HTMLResponse)
async def hello():
    return HELLO


@app.get("/json")
async def json():
    return message()


@app.get("/user/{id}", response_class=PlainTextResponse)
async def user(id: int, q: str):
    return f"User {id} asks for {q}"


@app.post("/echo")
async def echo(request: Request):
    return Response(await request.body(), media_type=BINARY)


@app.get("/page", response_class=HTMLResponse)
async def rendered():
    return page()
