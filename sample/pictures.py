"""The pages of the sample application that are drawn: a calendar of many small pieces, and a
picture that is sent while it is made.
"""

from __future__ import annotations

import re
from calendar import TextCalendar, month_name
from time import gmtime, perf_counter_ns

from layout import POLICY, begin, bottom, end, links, top
from source import sources

# A page with many small pieces.


def calendar(req, year):
    started = perf_counter_ns()
    lead = """Every day below is a call of req.out, which formats, escapes, and writes in C to where
        the answer leaves from."""
    begin(req, str(year), "/calendar", lead)
    req.out('<nav class="actions" aria-label="Years">')
    if year > 1:
        req.out('<a class="button quiet" href="/calendar/%d">← %d</a>', year - 1, year - 1)
    if year < 9999:
        req.out('<a class="button quiet" href="/calendar/%d">%d →</a>', year + 1, year + 1)
    req.out('</nav><div class="year">')
    now = gmtime()
    for month in range(1, 13):
        today = now.tm_mday if (year, month) == (now.tm_year, now.tm_mon) else 0
        calendar_month(req, year, month, today)
    req.out("</div>")
    req.out('<p class="note">Rendered in %d µs.</p>', (perf_counter_ns() - started) // 1000)
    end(req, "pictures.calendar_month")


def calendar_month(req, year, month, today):
    req.out("<table><caption>%s</caption><thead><tr>", month_name[month])
    for name in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"):
        req.out('<th scope="col">%s</th>', name)
    req.out("</tr></thead><tbody>")
    for week in TextCalendar().monthdayscalendar(year, month):
        req.out("<tr>")
        for day in week:
            if day == 0:
                req.out("<td></td>")
            elif day == today:
                req.out('<td><b aria-current="date">%d</b></td>', day)
            else:
                req.out("<td>%d</td>", day)
        req.out("</tr>")
    req.out("</tbody></table>")


# A page that is sent while it is made.

RULES = [
    (f"/automaton/{rule}", rule) for rule in (18, 22, 30, 45, 54, 60, 73, 90, 105, 110, 126, 150)
]
ROW_COUNT = 160


def automaton(req, rule):
    """Yields text instead of calling req.out: each piece may leave before the next is made."""
    req.set_header("Content-Security-Policy", POLICY)
    yield top(f"Rule {rule}", "/automaton")
    yield f"""
        <header class="head">
        <h1>Rule {rule}</h1>
        <p class="lead">Each line follows from the one above it, and is sent when it is known: the
        handler returns a generator.</p>
        </header>
        <nav class="pills" aria-label="Rules">{links(RULES, req.path)}</nav>
        <svg class="automaton" viewBox="0 0 {2 * ROW_COUNT} {ROW_COUNT}" role="img"
        aria-label="The cellular automaton of rule {rule}">
    """
    for y, cells in enumerate(rows(rule)):
        runs = re.finditer("1+", f"{cells:0{2 * ROW_COUNT}b}")
        path = "".join(f"M{run.start()} {y}.5h{len(run[0])}" for run in runs)
        yield f'<path d="{path}"/>\n'
    yield """
        </svg>
        <p>A download of the same kind, a million lines made as they are read:
        <a href="/squares.csv" download>squares.csv</a></p>
    """
    yield sources("app.automaton", "app.squares", "pictures.rows")
    yield bottom()


def rows(rule):
    """The lines of an elementary cellular automaton, a bit for each cell."""
    mask = (1 << 2 * ROW_COUNT) - 1
    cells = 1 << ROW_COUNT
    for _ in range(ROW_COUNT):
        yield cells
        left, right = cells >> 1, cells << 1
        after = 0
        for pattern in range(8):
            if rule >> pattern & 1:
                after |= (
                    (left if pattern & 4 else ~left)
                    & (cells if pattern & 2 else ~cells)
                    & (right if pattern & 1 else ~right)
                )
        cells = after & mask
