"""Cookies and access rules against the plainest code that does the same.

NODEPP_MODEL_EXAMPLES=5000 looks longer.
"""

from __future__ import annotations

import os
import re

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from visitors import LOGIN_HANDLERS, Visits

EXAMPLES = int(os.environ.get("NODEPP_MODEL_EXAMPLES", "150"))
MODEL = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
ID, STALE, FORGED = "<id>", "<stale>", "<forged>"
TRIED_COUNT = 4                        # cookies of one name

pieces = st.sampled_from((
    "as", "ls", "as=", "ls=", "alias=", "a=", "=", ";", "; ", " ", "\t", '"', ",", "x", ID, ID,
    STALE, FORGED, f"as={ID}", f"; as={ID}", f"as={FORGED}; ", f"ls={STALE}; ", f'as="{ID}"',
))  # fmt: skip


def values_of(line: str, name: str) -> list[str]:
    """Of the cookies of that name, RFC 6265 §5.4 backwards."""
    found = []
    for pair in line.split(";"):
        key, equals, value = pair.lstrip(" \t").partition("=")
        if equals and key == name:
            value = value.rstrip(" \t")
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            found += [value] if value else []          # one that is being deleted
    return found[:TRIED_COUNT]


def test_cookies_are_found_as_the_model_finds_them():
    site = Visits(handlers=LOGIN_HANDLERS)
    visitor, gone = site.visitor(), site.visitor()
    visitor.get("/count")
    gone.get("/count")
    real = {ID: visitor.jar["as"], STALE: gone.jar["as"], FORGED: "A" * 40}
    gone.get("/logout")

    @MODEL
    @given(st.lists(pieces, max_size=12).map("".join))
    @example("; ".join([f"as={FORGED}"] * 3 + [f"as={ID}"]))
    @example("; ".join([f"as={FORGED}"] * 4 + [f"as={ID}"]))
    def check(line):
        line = line.strip(" \t")           # the parser of fields takes those off
        known = ID in values_of(line, "ls") + values_of(line, "as")
        for name, value in real.items():
            line = line.replace(name, value)
        response = visitor.get("/show", cookie=line)
        assert response.body == (b"{'count': 1}" if known else b"nobody")

    try:
        check()
    finally:
        site.close()


segments = st.sampled_from(("a", "ab", "b", "", "*a", "c"))
paths = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
rules = st.dictionaries(
    st.one_of(paths, paths.map(lambda path: path + "*"), st.just("")), st.sampled_from((0, 20, 50)),
    max_size=8)  # fmt: skip


def level_of(rules: dict[str, int], path: str) -> int:
    """By the longest rule that covers the path; "" covers everything."""
    path = re.sub("/+", "/", path)
    best, level = -1, rules.get("", 0)
    for rule, wanted in rules.items():
        if rule.endswith("*"):
            covers, size = path.startswith(rule[:-1]), len(rule) - 1
        else:
            rule = rule and (rule.rstrip("/") or "/")
            covers = rule == "/" or path == rule or path.startswith(rule + "/")
            size = len(rule)
        if rule and covers and size > best:
            best, level = size, wanted
    return level


def without_twins(rules: dict[str, int]) -> dict[str, int]:
    """Rules that are the same but for a slash or a star would decide by their order."""
    kept: dict[str, tuple[str, int]] = {}
    for rule, level in rules.items():
        kept[rule.rstrip("*").rstrip("/")] = (rule, level)
    return dict(kept.values())


@MODEL
@given(rules.map(without_twins), st.lists(paths, min_size=1, max_size=12))
@example({"/a*": 50, "/ab/b": 0}, ["/ab/b/a", "/ab/ba", "/a", "/b", "/abb"])
@example({"/": 50, "/a/ab": 20, "/a/ab/b": 0}, ["/a/ab/b", "/a/abb", "/a", "//a//ab"])
def test_longest_rule_is_the_one_that_the_model_finds(rules, asked):
    site = Visits(handlers=LOGIN_HANDLERS,
                  auth_rules=[("", path, level) for path, level in rules.items()])
    try:
        member = site.visitor()
        member.get("/login?level=20")
        for path in asked:
            level = level_of(rules, path)
            assert (site.visitor().get(path).status == 401) == (level > 0), path
            assert (member.get(path).status == 403) == (level > 20), path
    finally:
        site.close()
