"""The pages of the sample application about sessions: one's own, the login and what lies behind it,
and the table of all of them.
"""

from __future__ import annotations

import time

from forms import field
from layout import begin, duration, end, facts, size

from nodepp import AuthLevel

# One's own session.


def visit(req, wares):
    session = req.session
    lead = """What the server remembers about you lies in its memory. Your browser keeps a random
        number in a cookie, by which it is found again, and nothing else."""
    begin(req, "Your session", "/session", lead)
    if req.is_bot:
        req.out('<p class="note">You look like a bot, and for bots nothing is kept.</p>')
    req.out('<div class="columns"><section class="panel">')
    count = session["visits"]
    req.out('<p class="count"><b id="visits">%d</b> %s</p>', count,
            "visit to this page" if count == 1 else "visits to this page")  # fmt: skip
    facts(req, described(session))
    req.out('<div class="actions">')
    if not session.logged_in:
        req.out('<a class="button" href="/login">Log in</a>')
    req.out('<a class="button quiet" href="/members">The members\' page</a>')
    if session.logged_in:
        logout_form(req)
    req.out('</div></section><section id="basket"><h2 class="small">Your basket</h2>')
    basket_form(req, session.get("basket", []), wares)
    req.out('<p class="note">How many sessions there are, and what they cost: ')
    req.out('<a href="/sessions">the table</a>.</p></section></div>')
    end(req, "visitors.visit", "visitors.change_basket", "visitors.add_to")


def described(session):
    """What may be shown of a session. Its id is as good as a password, so the page has a part."""
    level = session.level
    yield "id", f"{session.id[:4]}…" if session.id else "none"
    yield "began", f"{duration(max(0, time.time() - session.started))} ago"
    yield "level", f"{level} {AuthLevel(level).name}"
    if session.logged_in:
        yield "name", session.name
        yield "user", session.uid
        yield "kept", "for 30 days" if session.kept else "until the browser ends"


def basket_form(req, basket, wares):
    req.out('<form class="panel basket" method="post" action="/session">')
    req.out(req.csrf_input())
    if not basket:
        req.out("<p>Nothing yet.</p>")
    req.out("<ul>")
    for name, count in basket:
        req.out("<li><b>%d</b> %s", count, name)
        req.out(' <button name="remove" value="%s" aria-label="Take out %s">×</button></li>',
                name, name)  # fmt: skip
    req.out('</ul><p class="pills">')
    for name in wares:
        req.out('<button name="add" value="%s">+ %s</button>', name, name)
    req.out("</p></form>")


def logout_form(req):
    req.out('<form method="post" action="/logout">')
    req.out(req.csrf_input())
    req.out('<button class="button quiet">Log out</button></form>')


# The login, and what lies behind it.


def login(req, accounts, form, errors=None):
    lead = "Two accounts for trying it out. What is in your basket comes with you."
    begin(req, "Log in", "/session", lead)
    req.out("""
        <div class="columns">
        <form class="panel" method="post" action="/login" novalidate>
    """)
    req.out(req.csrf_input())
    req.out('<input type="hidden" name="next" value="%s">', form["next"])
    name = '<input%s value="%%s" autocomplete="username" autocapitalize="none">'
    field(req, "name", "Name", name, form, errors)
    password = '<input type="password"%s value="%%s" autocomplete="current-password">'
    field(req, "password", "Password", password, {}, errors)
    req.out("""
        <p class="check"><label><input type="checkbox" name="keep"> Keep me logged in for 30 days
        </label></p>
        <button class="button">Log in</button></form>
        <section><h2 class="small">Accounts</h2>
        <table class="table"><thead><tr><th>Name</th><th>Password</th><th>Level</th></tr></thead>
        <tbody>
    """)
    for key, account in accounts.items():
        req.out("<tr><td><code>%s</code></td><td><code>%s</code></td>", key, account["password"])
        req.out("<td>%s, %d</td></tr>", account["level"].name, account["level"])
    req.out("</tbody></table>")
    req.out('<p class="note">After it you come to <code>%s</code>.</p>', form["next"])
    req.out("</section></div>")
    end(req, "visitors.log_in", "visitors.account_of", "visitors.require_token")


def members(req):
    session = req.session
    lead = "Shown to everybody of level 10, USER, and above. Others come by the login page."
    begin(req, f"Welcome, {session.name}", "/session", lead)
    facts(req, described(session))
    req.out('<div class="actions"><a class="button" href="/admin">The administrators\' page</a>')
    req.out('<a class="button quiet" href="/session">Your session</a>')
    logout_form(req)
    req.out("</div>")
    end(req, "visitors.members", "visitors.log_out")


def admin(req, happened):
    lead = "Shown from level 50, ADMIN, on. Who is logged in with less gets a 403 here."
    begin(req, "For administrators", "/session", lead)
    req.out("""
        <table class="table">
        <thead><tr><th>Time</th><th>What the hooks saw</th><th>Who</th></tr></thead><tbody>
    """)
    for row in reversed(happened):
        req.out("<tr><td>%s</td><td>%s</td><td>%s</td></tr>", *row)
    req.out("</tbody></table>")
    req.out('<p class="actions"><a class="button quiet" href="/sessions">The table</a>')
    req.out('<a class="button quiet" href="/session">Your session</a></p>')
    end(req, "visitors.session_started", "visitors.logged_in", "visitors.note")


# The table. The page is made here once; the script puts what live() gives where it belongs.

OTHER_FIGURES = ("logins", "lock_recoveries", "blocked", "uptime_s")
TILES = (
    ("Slots", "slots", "free"),
    ("At most", "most", "most_share"),
    ("Begun", "started", "logins"),
    ("Expired", "expired", "ended"),
    ("Refused", "refused", "evicted"),
    ("Bytes per session", "per_session", "data_size"),
)
FILLED = (
    ("share", "in use"),
    ("whole", "memory of the whole table"),
    ("used", "… of it for those in use now"),
    ("process", "memory of the process"),
)
DOOR = (
    ("forged", "cookies with an id that we never made"),
    ("blocked", "connections closed because of their address"),
    ("recoveries", "locks taken over from a process that died"),
)


def table(req, now):
    lead = """All sessions lie in one table, allocated when the server starts. Every process sees
        the same one."""
    begin(req, "Sessions", "/session", lead)
    page = live(now)
    text, shapes = page["text"], page["shapes"]
    req.out('<div class="dashboard" data-live="/api/sessions">')
    chart(req, text, shapes)
    req.out('<dl class="tiles">')
    for label, key, more in TILES:
        req.out('<div class="tile"><dt>%s</dt>', label)
        req.out('<dd id="%s">%s</dd>', key, text[key])
        req.out('<dd class="more" id="%s">%s</dd></div>', more, text[more])
    req.out('</dl><section class="panel"><h2 class="small">How full it is</h2>')
    filled(req, text, shapes)
    req.out('</section><section class="panel"><h2 class="small">At the door</h2>')
    req.out('<dl class="facts">')
    for key, label in DOOR:
        req.out('<div><dt>%s</dt><dd id="%s">%s</dd></div>', label, key, text[key])
    req.out("</dl></section></div>")
    req.out('<p class="actions"><a class="button quiet" href="/session">Your session</a></p>')
    end(req, "visitors.remember_sessions", "visitors.table", "visitors.require_this_machine")


def chart(req, text, shapes):
    req.out('<section class="panel chart"><h2 class="small">Sessions in use ')
    req.out('<span id="now">%s</span></h2>', text["now"])
    req.out('<svg viewBox="0 0 590 100" preserveAspectRatio="none" role="img"')
    req.out(' aria-label="The last minute">')
    for key in ("area", "line"):
        req.out('<path class="%s" id="%s" d="%s"/>', key, key, shapes[key]["d"])
    req.out('</svg><p class="note">The last minute, at most ')
    req.out('<span id="minute_most">%s</span>.</p></section>', text["minute_most"])


def filled(req, text, shapes):
    """How much of the table is in use, and was at most; and what it takes of memory."""
    req.out('<svg class="filled" viewBox="0 0 100 1" preserveAspectRatio="none"')
    req.out(' role="img" aria-label="How much of the table is in use">')
    for key in ("bar_most", "bar_now"):
        req.out('<rect id="%s" height="1" width="%s"/>', key, shapes[key]["width"])
    req.out('</svg><dl class="facts">')
    for key, label in FILLED:
        req.out('<div><dt>%s</dt><dd id="%s">%s</dd></div>', label, key, text[key])
    req.out("</dl>")


def live(now):
    """Texts and shapes of the table's page, by the id of their element."""
    count, slots, most = now["sessions"], now["session_slots"], now["sessions_high_water"]
    peak = max(now["in_use"])
    points = [f"{10 * i} {100 - 96 * it / max(peak, 1):.4g}" for i, it in enumerate(now["in_use"])]
    line = "M" + "L".join(points)
    text = {
        "now": f"{count:,}",
        "minute_most": f"{peak:,}",
        "slots": f"{slots:,}",
        "free": f"{slots - count:,} free",
        "most": f"{most:,}",
        "most_share": f"{100 * most / slots:.3g} % of the slots",
        "started": f"{now['sessions_started']:,}",
        "logins": f"{now['logins']:,} {'login' if now['logins'] == 1 else 'logins'}",
        "expired": f"{now['sessions_expired']:,}",
        "ended": f"{now['sessions_ended']:,} ended otherwise",
        "refused": f"{now['sessions_refused']:,}",
        "evicted": f"{now['sessions_evicted']:,} gave way to a login",
        "per_session": f"{now['session_size']:,}",
        "data_size": f"{now['session_data_size']:,} for data, kept twice",
        "forged": f"{now['session_ids_forged']:,}",
        "blocked": f"{now['blocked']:,}",
        "recoveries": f"{now['lock_recoveries']:,}",
        "share": f"{100 * count / slots:.3g} %",
        "whole": size(slots * now["session_size"]),
        "used": size(count * now["session_size"]),
        "process": size(now["memory"]),
    }
    shapes = {
        "line": {"d": line},
        "area": {"d": f"{line}V100H0Z"},
        "bar_now": {"width": f"{100 * count / slots:.4g}"},
        "bar_most": {"width": f"{100 * most / slots:.4g}"},
    }
    return {"text": text, "shapes": shapes}
