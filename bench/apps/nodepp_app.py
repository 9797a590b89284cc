"""nodepp. `bench/run.py` starts it with NPP_DIR pointing at a folder with res/static/, so static
files are the engine's.

The rows, the title and the object are those of common.py, written out: the start-up figure counts
what this imports.
"""

import itertools

from nodepp import App, Response

app = App()
numbers = itertools.count()

ROWS = [(number, f"Article {number * 7919 % 10000:04d}") for number in range(105)]
TITLE = "Articles"
ROW = '<tr class="row"><td class="number">%d</td><td class="name">%s</td><td>in stock</td></tr>\n'


@app.get("/")
def hello(req):
    return "Hello, World!"


@app.get("/json")
def message(req):
    return {"message": "Hello, World!", "number": 1000 + next(numbers) % 9000}


@app.get("/user/{id:int}")
def user(req, id):
    req.out("User %d asks for %s", id, req.query.get("q", ""))


@app.post("/echo")
def echo(req):
    return Response(req.body, content_type=req.content_type)


@app.get("/page")
def page(req):
    out = req.out
    out("<!DOCTYPE html>\n<html><head><title>%s</title></head><body><table>\n", TITLE)
    for number, name in ROWS:
        out(ROW, number, name)
    out("</table><p>%d rows</p></body></html>\n", len(ROWS))
