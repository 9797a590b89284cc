"""nodepp's access rules: a page for those who are logged in."""

from nodepp import App, AuthLevel

app = App()
app.require_auth("/member", AuthLevel.USER)


@app.get("/enter")
def enter(req):
    req.session.login(7, AuthLevel.USER, "Ann")
    return "Welcome"


@app.get("/member")
def member(req):
    return "Hello, World!"
