"""Who is this visitor? A counter and a basket in the session, a login, and two pages that not
everybody may see. The markup is in sessions.py.

What a handler puts into req.session is there again at the visitor's next request, whichever process
answers it. Handlers that change something ask for the token that the form was made with.
"""

from __future__ import annotations

import time
from collections import deque
from hmac import compare_digest

import pages
import sessions
from application import app
from dashboard import memory

from nodepp import AuthLevel, CsrfError, HTTPError

# These passwords stand on the login page. Real ones are kept as hashes, by a slow function.
ACCOUNTS = {
    "ada": {"uid": 1, "level": AuthLevel.USER, "password": "engine", "name": "Ada Lovelace"},
    "grace": {"uid": 2, "level": AuthLevel.ADMIN, "password": "compiler", "name": "Grace Hopper"},
}
WARES = ("apples", "bread", "cheese", "olives", "tea")
PIECE_COUNT_MAX = 99  # of a kind: what a visitor can make grow has a bound

# The hooks write here what they see, and the administrator's page shows it.
happened = deque(maxlen=12)

# Asked before any file or handler; everything below these paths is meant, too.
app.require_auth("/members", AuthLevel.USER)
app.require_auth("/admin", AuthLevel.ADMIN)


TOO_OLD = "This form is too old, or was not made for you: go back and reload."


def require_token(req):
    """That the form came from a page of ours, made for this session.

    With csrf=1 the core asks before every handler of POST, PUT, PATCH and DELETE, and also where
    the browser says that the form came from. This sample is safe without the setting, too.
    """
    if not req.session.check_csrf(req.form.get("csrft", "")):
        raise HTTPError(403, TOO_OLD)


@app.error(CsrfError)  # the core asked; what exactly was wrong is nothing for a visitor
def forged(req):
    return pages.error(req, TOO_OLD)


# A visitor whom nobody has to know: the first thing written begins a session.


@app.get("/session")
def visit(req):
    req.no_cache()
    req.session.add("visits")  # in one step, whoever else counts at this moment
    sessions.visit(req, WARES)


@app.post("/session")
def change_basket(req):
    require_token(req)
    basket = req.session.setdefault("basket", [])
    if name := req.form.get("add"):
        add_to(basket, name)
    elif name := req.form.get("remove"):
        basket[:] = [row for row in basket if row[0] != name]
    return req.redirect("/session#basket")


def add_to(basket, name):
    """Lists within the session change in place: that is noticed when the handler has returned."""
    if name not in WARES:
        raise HTTPError(422, "That is not for sale here.")
    for row in basket:
        if row[0] == name:
            row[1] = min(row[1] + 1, PIECE_COUNT_MAX)
            return
    basket.append([name, 1])


# One whom we know.


@app.get("/login")
def login_form(req):
    req.no_cache()
    sessions.login(req, ACCOUNTS, {"name": "", "next": req.next_url("/members")})


@app.post("/login")
def log_in(req):
    require_token(req)
    name = req.form.get("name", "").strip().lower()
    account = account_of(name, req.form.get("password", ""))
    if account is None:
        req.status = 422
        req.no_cache()
        form = {"name": name, "next": req.next_url("/members")}
        errors = {"password": "There is no such account, or the password is another one."}
        return sessions.login(req, ACCOUNTS, form, errors)
    req.session.login(account["uid"], account["level"], account["name"], keep="keep" in req.form)
    return req.redirect(req.next_url("/members"))  # where the visitor wanted to go


def account_of(name, password):
    """The account, or None. Which of the two was wrong is nobody's business."""
    account = ACCOUNTS.get(name)
    if account and compare_digest(account["password"].encode(), password.encode()):
        return account
    return None


@app.post("/logout")
def log_out(req):
    require_token(req)
    req.session.logout()
    return req.redirect("/session")


@app.get("/logout")
def logout_page(req):
    return req.redirect("/session")  # a link must not log out: the button there does


@app.get("/members")
def members(req):
    req.no_cache()
    sessions.members(req)


@app.get("/admin")
def admin(req):
    req.no_cache()
    sessions.admin(req, happened)


@app.on_session_start
def session_started(req):
    note("a session began", "")


@app.on_session_stop
def session_stopped(session):
    note("a session ended", session.name)


@app.on_login
def logged_in(req):
    note("logged in", req.session.name)


@app.on_logout
def logged_out(session):
    note("logged out", session.name)


def note(what, name):
    happened.append((time.strftime("%H:%M:%S"), what, name))


# All of them together: what the table counts. Only for who sits at this machine.

in_use = deque([0] * 60, maxlen=60)  # sessions at each of the last 60 seconds


@app.every(1)
def remember_sessions():
    in_use.append(app.stats()["sessions"])


def require_this_machine(req):
    """Behind a reverse proxy every visitor comes from this machine: block the path there."""
    ip = req.client.ip
    if not ip.startswith("127.") and ip not in ("::1", "::ffff:127.0.0.1"):
        raise HTTPError(403, "These figures are shown on the machine itself only.")


@app.get("/sessions")
def table(req):
    require_this_machine(req)
    req.no_cache()
    sessions.table(req, table_figures())


@app.get("/api/sessions")
def table_numbers(req):
    require_this_machine(req)
    req.no_cache()
    now = table_figures()
    return {**now, "page": sessions.live(now)}  # what the page's script puts where


def table_figures():
    stats = app.stats()
    own = {key: stats[key] for key in stats if "session" in key or key in sessions.OTHER_FIGURES}
    return {**own, **memory(), "in_use": list(in_use)}
