"""nodepp's sessions: a counter, the same by add(), and a page for those who are logged in."""

from nodepp import App, AuthLevel

app = App()
app.require_auth("/member", AuthLevel.USER)


@app.get("/")
def hello(req):
    return "Hello, World!"


@app.get("/session")
def counter(req):
    req.session["hits"] = req.session.get("hits", 0) + 1
    return str(req.session["hits"])


@app.get("/session/add")
def added(req):
    return str(req.session.add("hits"))


@app.get("/enter")
def enter(req):
    req.session.login(7, AuthLevel.USER, "Ann")
    return "Welcome"


@app.get("/member")
def member(req):
    return "Hello, World!"
