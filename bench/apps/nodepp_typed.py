"""nodepp's sessions with a declared field: the counter again."""

from nodepp import App

app = App()


@app.session_data
class Visitor:
    hits: int = 0


@app.get("/session")
def counter(req):
    visitor = req.session
    visitor.hits += 1
    return f"{visitor.hits}"
