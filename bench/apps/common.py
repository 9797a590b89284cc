"""What the applications of the Python peers have in common: the data they answer with, and no more.

Routing, reading of parameters and making of answers are each server's own. Where a protocol has no
router (WSGI, ASGI, RSGI), the application chooses by the path in the order in which a person would
write it.
"""

import itertools
import os

HELLO = "Hello, World!"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BINARY = "application/octet-stream"
SCRIPT = "text/javascript"

# The rows of the page: what a database would have given. 105 rows, a beginning and an end: 107
# pieces.
ROWS = [(number, f"Article {number * 7919 % 10000:04d}") for number in range(105)]
TITLE = "Articles"

numbers = itertools.count()


def message():
    """The object of the JSON workload. The number differs each time, so that nobody can keep the
    answer; its width does not, so that every answer has the same length.
    """
    return {"message": HELLO, "number": 1000 + next(numbers) % 9000}


def page():
    """The 10 KB page, in the quickest way Python has: one f-string a piece, joined. No value is
    escaped here, although `out` of nodepp escapes each: the comparison errs to the peers' side.
    """
    pieces = [
        f'<tr class="row"><td class="number">{number}</td>'
        f'<td class="name">{name}</td><td>in stock</td></tr>\n'
        for number, name in ROWS
    ]
    return "".join(
        [
            f"<!DOCTYPE html>\n<html><head><title>{TITLE}</title></head><body><table>\n",
            *pieces,
            f"</table><p>{len(ROWS)} rows</p></body></html>\n",
        ]
    )


def resource_folder():
    """Where the two static files lie; bench/run.py makes them."""
    return os.environ["BENCH_RES"]


def resources():
    """Path to (content type, content), for servers without static files of their own: read once, as
    anybody would.
    """
    found = {}
    for name, content_type in (("small.css", "text/css"), ("large.js", SCRIPT)):
        with open(os.path.join(resource_folder(), name), "rb") as file:
            found["/static/" + name] = (content_type, file.read())
    return found
