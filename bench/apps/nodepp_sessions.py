"""nodepp's sessions: a counter, and the same by add()."""

from nodepp import App

app = App()


@app.get("/")
def hello(req):
    return "Hello, World!"


@app.get("/session")
def counter(req):
    hits = req.session["hits"] = req.session.get("hits", 0) + 1
    return f"{hits}"


@app.get("/session/add")
def added(req):
    return f"{req.session.add('hits')}"
