"""The performance page of the sample application. It is made here once; the script puts what live()
gives where it belongs.
"""

from __future__ import annotations

from layout import begin, duration, end, interval, links, size

TILES = (
    ("Requests", "requests", "bytes"),
    ("Average time", "average", "busy"),
    ("Connections now", "connections", "connections_most"),
    ("Memory", "memory", "memory_most"),
    ("Up", "uptime", "turns"),
    ("Poller", "poller", "slots"),
)
STATUSES = (("2", "done"), ("3", "elsewhere"), ("4", "client's fault"), ("5", "server's fault"))
TROUBLES = (
    ("parse_errors", "requests that were no HTTP"),
    ("handler_errors", "handlers that failed"),
    ("timeouts", "requests or answers that took too long"),
    ("refused", "refused, for want of place or memory"),
)


def performance(req, now):
    begin(req, "Performance", "/performance", "What the engine counts about itself, live.")
    page = live(now)
    text, shapes = page["text"], page["shapes"]
    req.out('<div class="dashboard" data-live="/api/performance">')
    chart(req, text, shapes)
    req.out('<dl class="tiles">')
    for label, key, more in TILES:
        req.out('<div class="tile"><dt>%s</dt>', label)
        req.out('<dd id="%s">%s</dd>', key, text[key])
        req.out('<dd class="more" id="%s">%s</dd></div>', more, text[more])
    req.out('</dl><section class="panel"><h2 class="small">Answers by status</h2>')
    req.out('<table class="bars"><tbody>')
    for kind, name in STATUSES:
        status_bar(req, kind, name, text, shapes)
    req.out('</tbody></table></section><section class="panel">')
    req.out('<h2 class="small">What went wrong</h2><dl class="facts">')
    for key, label in TROUBLES:
        req.out('<div><dt>%s</dt><dd id="%s">%s</dd></div>', label, key, text[key])
    req.out("</dl></section>")
    this_page(req)
    req.out("</div>")
    req.out('<noscript><p class="note">Reload to see newer figures.</p></noscript>')
    end(req, "app.remember_rate", "app.figures", "app.performance", "app.performance_figures")


def this_page(req):
    """What compression saves here; the script adds what the browser knows about it."""
    req.out('<section class="panel wide"><h2 class="small">This page</h2><p id="coded">')
    if req.compress:
        req.out("Rendered for you just now, and compressed on its way: your browser takes ")
        req.out("<code>%s</code>.", req.header("accept-encoding", "nothing of that kind"))
    else:
        req.out("Rendered for you just now, and sent as it is.")
    req.out('</p><nav class="pills" aria-label="Compression">')
    path = "/performance" if req.compress else "/performance?plain="
    req.out(links((("/performance", "compressed"), ("/performance?plain=", "as it is")), path))
    req.out("</nav></section>")


def chart(req, text, shapes):
    req.out('<section class="panel chart"><h2 class="small">Requests per second ')
    req.out('<span id="rate">%s</span></h2>', text["rate"])
    req.out('<svg viewBox="0 0 590 100" preserveAspectRatio="none" role="img"')
    req.out(' aria-label="The last minute">')
    for key in ("area", "line"):
        req.out('<path class="%s" id="%s" d="%s"/>', key, key, shapes[key]["d"])
    req.out('</svg><p class="note">The last minute, at most ')
    req.out('<span id="rate_most">%s</span> in a second.</p></section>', text["rate_most"])


def status_bar(req, kind, name, text, shapes):
    req.out('<tr class="s%s"><th scope="row">%sxx <small>%s</small></th>', kind, kind, name)
    req.out('<td><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">')
    req.out('<rect id="bar_%s" height="1" width="%s"/></svg></td>', kind,
            shapes[f"bar_{kind}"]["width"])  # fmt: skip
    req.out('<td class="number" id="status_%s">%s</td></tr>', kind, text[f"status_{kind}"])


def live(now):
    """Texts and shapes of the performance page, by the id of their element."""
    peak = max(now["rates"])
    points = [f"{10 * i} {100 - 96 * it / max(peak, 1):.4g}" for i, it in enumerate(now["rates"])]
    line = "M" + "L".join(points)
    shapes = {"line": {"d": line}, "area": {"d": f"{line}V100H0Z"}}
    text = {
        "rate": f"{now['rates'][-1]:,}",
        "rate_most": f"{peak:,}",
        "requests": f"{now['requests']:,}",
        "bytes": f"{size(now['bytes_out'])} sent, {size(now['bytes_in'])} received",
        "average": interval(now["average_us"]),
        "busy": f"busy {now['busy_ns'] / max(now['uptime_s'], 0.001) / 1e7:.2f} % of the time",
        "connections": f"{now['connections']:,}",
        "connections_most": f"at most {now['connections_high_water']:,}",
        "memory": size(now["memory"]),
        "memory_most": f"at most {size(now['memory_high_water'])}",
        "uptime": duration(now["uptime_s"]),
        "turns": f"{now['turns']:,} turns of the loop",
        "poller": now["poller"],
        "slots": f"{now['connection_slots']:,} slots of {now['connection_size']} bytes",
        "parse_errors": f"{now['parse_errors']:,}",
        "handler_errors": f"{now['handler_errors']:,}",
        "timeouts": f"{sum(n for key, n in now.items() if key.startswith('timeouts_')):,}",
        "refused": f"{now['refused_full'] + now['refused_memory']:,}",
    }
    counts = {kind: now[f"status_{kind}xx"] for kind, _ in STATUSES}
    for kind, count in counts.items():
        text[f"status_{kind}"] = f"{count:,}"
        shapes[f"bar_{kind}"] = {"width": f"{100 * count / max(1, sum(counts.values())):.4g}"}
    return {"text": text, "shapes": shapes}


def memory():
    """Bytes of memory that the process has now, and had at most. 0 where the system has no /proc"""
    sizes = {"VmRSS": 0, "VmHWM": 0}
    try:
        with open("/proc/self/status") as lines:
            sizes.update(
                (key, int(rest.split()[0]) * 1024)
                for key, _, rest in (line.partition(":") for line in lines)
                if key in sizes
            )
    except OSError:
        pass
    return {"memory": sizes["VmRSS"], "memory_high_water": sizes["VmHWM"]}
