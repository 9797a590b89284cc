"""Routes as they are written: the pattern of a path, and whether a handler takes what the pattern
gives.

Everything that can be wrong with a route is said here, when it is registered, with the names of
both sides; the core gets finished segments and never judges. A leaf of app.py. inspect is not used:
importing it costs 10 ms of a start that has 120, and a code object says the same.
"""

from __future__ import annotations

from .errors import RouteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType
    from typing import Any, Callable, Optional, Union

    Literal = tuple[str]
    Parameter = tuple[str, str, str, str]  # prefix, suffix, converter, name
    Segment = Union[Literal, Parameter]
    Order = Optional[tuple[int, ...]]

# The bits are those of nodepp._core.METHOD_*; tests/test_app.py holds them together. They are
# repeated because an application can be written, and its routes checked, before the core is built.
METHODS = {
    "GET": 1,
    "HEAD": 2,
    "POST": 4,
    "PUT": 8,
    "DELETE": 16,
    "OPTIONS": 32,
    "PATCH": 64,
}

PARAMETER_COUNT_MAX = 16  # of one path; the core has room for that many captures
SEGMENT_COUNT_MAX = 64  # of one path; the core looks no deeper

WRAPPER_COUNT_MAX = 16  # functools.wraps upon wraps; a longer chain is a loop

CONVERTERS = ("str", "int", "float", "uuid", "path")

# Flags of a code object, as in the inspect module.
CODE_VARARGS = 0x04
CODE_VARKEYWORDS = 0x08
CODE_COROUTINE = 0x80 | 0x200  # async def, and async def with yield


class Route:
    """One registered route: what App keeps until it is frozen."""

    __slots__ = ("compress", "csrf", "handler", "methods", "order", "path", "segments")

    def __init__(
        self,
        path: str,
        methods: Iterable[str] | str,
        handler: Callable[..., Any],
        compress: bool = True,
        csrf: bool = True,
    ) -> None:
        self.path = path
        self.compress = compress  # whether its answers may be compressed
        self.csrf = csrf  # whether the setting csrf applies
        self.methods = method_names(methods, path)
        self.handler = handler
        self.segments = parse_path(path)
        self.order = call_order(handler, parameter_names(self.segments), path)

    @property
    def method_bits(self) -> int:
        """The methods as bits of nodepp._core.METHOD_*."""
        bits = 0
        for name in self.methods:
            bits |= METHODS[name]
        return bits

    @property
    def shape(self) -> tuple[Segment, ...]:
        """The segments without the names of parameters: two routes of one shape match the same
        paths.
        """
        return tuple(
            segment if len(segment) == 1 else (segment[0], segment[1], segment[2], "")
            for segment in self.segments
        )

    def may_match(self, path: str) -> bool:
        """Whether a path has this shape; whether a converter takes its part is not asked."""
        texts = path[1:].split("/")
        for index, segment in enumerate(self.segments):
            if index == len(texts):
                return False
            text = texts[index]
            if len(segment) == 1:
                if text != segment[0]:
                    return False
            elif not text.startswith(segment[0]) or not text.endswith(segment[1]):
                return False
            elif segment[2] == "path":
                return True
        return len(texts) == len(self.segments)

    def __repr__(self) -> str:
        return f"<Route {' '.join(self.methods)} {self.path} -> {handler_name(self.handler)}>"


def method_names(methods: Iterable[str] | str, path: str) -> tuple[str, ...]:
    """The names of methods, in upper case, each once; one may be given as a plain str."""
    given = [methods] if isinstance(methods, str) else list(methods)
    names: list[str] = []
    for method in given:
        name = method.upper()
        if name not in METHODS:
            raise RouteError(
                f"route {path}: unknown method {method!r}; there are {', '.join(METHODS)}"
            )
        if name not in names:
            names.append(name)
    if not names:
        raise RouteError(f"route {path}: no method given")
    return tuple(names)


# The pattern.


def parse_path(path: str) -> tuple[Segment, ...]:
    """Segments of a path pattern, in the form that nodepp._core.Router.add takes.

    "/user/{id:int}/x" gives (("user",), ("", "", "int", "id"), ("x",)); "/" gives (("",),); a
    trailing slash is a last empty literal. Literals are matched against the decoded path, so write
    "/café", not "/caf%C3%A9".
    """
    if not isinstance(path, str):
        raise RouteError(f"the path of a route is a str, not {type(path).__name__}")
    if not path.startswith("/"):
        raise RouteError(f'route {path!r}: a path begins with a slash: "/{path}"')
    for sign, meaning in (("?", "a query"), ("#", "a fragment")):
        if sign in path:
            raise RouteError(f"route {path}: {meaning} is not part of a path pattern")
    texts = path[1:].split("/")
    segments = []
    for index, text in enumerate(texts):
        segment = parse_segment(text, path)
        is_last = index == len(texts) - 1
        if len(segment) == 4 and segment[2] == "path" and (not is_last or segment[1]):
            raise RouteError(
                f"route {path}: nothing can follow a parameter that takes all the rest"
            )
        segments.append(segment)
    names = parameter_names(tuple(segments))
    if len(names) > PARAMETER_COUNT_MAX or len(segments) > SEGMENT_COUNT_MAX:
        raise RouteError(
            f"route {path}: {len(segments)} segments with {len(names)} parameters; there may be"
            f" {SEGMENT_COUNT_MAX} with {PARAMETER_COUNT_MAX}"
        )
    for name in names:
        if names.count(name) > 1:
            raise RouteError(f"route {path}: the parameter {name!r} is there twice")
    return tuple(segments)


def parse_segment(text: str, path: str) -> Segment:
    """One segment: (literal,) or (prefix, suffix, converter, name)."""
    if text in (".", ".."):
        # RFC 3986 §5.2.4: clients remove dot segments before they send, so it would never match.
        raise RouteError(f"route {path}: {text!r} is not a segment that a client can ask for")
    prefix, brace, rest = text.partition("{")
    if not brace:
        if "}" in text:
            raise RouteError(f"route {path}: '}}' without '{{' in {text!r}")
        return (text,)
    inside, brace, suffix = rest.partition("}")
    if not brace or "{" in inside:
        raise RouteError(f"route {path}: '{{' without '}}' in {text!r}")
    if "{" in suffix:
        raise RouteError(f"route {path}: one parameter per segment, {text!r} has more")
    if "}" in prefix or "}" in suffix:
        raise RouteError(f"route {path}: '}}' without '{{' in {text!r}")
    name, colon, converter = inside.partition(":")
    if colon and converter not in CONVERTERS:
        raise RouteError(
            f"route {path}: unknown converter {converter!r} of parameter {name!r};"
            f" there are {', '.join(CONVERTERS)}"
        )
    if not name.isidentifier():
        raise RouteError(f"route {path}: {name!r} cannot be the name of a parameter")
    return (prefix, suffix, converter if colon else "str", name)


def parameter_names(segments: tuple[Segment, ...]) -> tuple[str, ...]:
    """The names of the parameters, in the order of the path."""
    return tuple(segment[3] for segment in segments if len(segment) == 4)


# The handler.


class Signature:
    """What a handler takes after its request. required and optional are names by position; keyword
    ones need their name.
    """

    __slots__ = (
        "keyword_optional",
        "keyword_required",
        "positional",
        "positional_only_count",
        "request_name",
        "required_count",
        "takes_any_keyword",
        "takes_any_positional",
    )

    def __init__(self, handler: Callable[..., Any], code: CodeType, skipped: int) -> None:
        names = code.co_varnames
        defaults = getattr(handler, "__defaults__", None) or ()
        keyword_defaults = getattr(handler, "__kwdefaults__", None) or {}
        positional = names[skipped : code.co_argcount]
        keyword = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.takes_any_positional = bool(code.co_flags & CODE_VARARGS)
        self.takes_any_keyword = bool(code.co_flags & CODE_VARKEYWORDS)
        self.request_name = positional[0] if positional else None
        self.positional = positional[1:]
        self.required_count = max(0, len(positional) - len(defaults) - 1)
        self.positional_only_count = max(0, code.co_posonlyargcount - skipped - 1)
        self.keyword_required = tuple(name for name in keyword if name not in keyword_defaults)
        self.keyword_optional = tuple(name for name in keyword if name in keyword_defaults)


def underlying(handler: Callable[..., Any]) -> tuple[Any, int]:
    """The function behind a handler, and how many of its arguments are bound already (self)."""
    function: Any = handler
    skipped = 0
    if not hasattr(function, "__code__") and callable(handler):
        # An object with __call__; what is found there is bound to it, as a method is.
        function = type(handler).__call__
        skipped = 1
    if hasattr(function, "__func__"):
        function = function.__func__
        skipped = 1
    return function, skipped


def signature_of(handler: Callable[..., Any]) -> Signature | None:
    """What the handler takes, None when it cannot be known (a builtin, functools.partial)."""
    function, skipped = underlying(handler)
    code = getattr(function, "__code__", None)
    return None if code is None else Signature(function, code, skipped)


def check_handler(handler: Callable[..., Any], path: str) -> None:
    """Refuses what cannot be called as a handler at all."""
    if not callable(handler):
        raise RouteError(f"route {path}: {handler!r} is not a handler: it cannot be called")
    name = handler_name(handler)
    if isinstance(handler, type):
        raise RouteError(f"route {path}: {name} is a class; a handler is a function")
    called: Any = handler
    for _ in range(WRAPPER_COUNT_MAX):
        code = getattr(underlying(called)[0], "__code__", None)
        if code is not None and code.co_flags & CODE_COROUTINE:
            raise RouteError(
                f"route {path}: {name} is a coroutine (async def);"
                " coroutine handlers are not supported yet, write def"
            )
        called = getattr(called, "__wrapped__", None)
        if called is None:
            break


def call_order(handler: Callable[..., Any], names: tuple[str, ...], path: str) -> Order:
    """How the core calls the handler: a tuple of ints passes the path's parameters by position, in
    that order; None by name.

    By position is faster (no dict is made), so it is chosen whenever the handler's parameters begin
    with those of the path. Raises RouteError when the call could not work, with the name of the
    handler and of the parameter.
    """
    check_handler(handler, path)
    signature = signature_of(handler)
    if signature is None:
        return None if names else ()
    wrapped = getattr(handler, "__wrapped__", None)
    if wrapped is not None and signature.takes_any_positional:
        # A wrapper made with functools.wraps passes on what it gets: the wrapped function says what
        # that must be.
        inner = signature_of(wrapped)
        if inner is not None:
            signature = inner
    check_signature(signature, handler, names, path)
    return position_order(signature, names)


def check_signature(
    signature: Signature, handler: Callable[..., Any], names: tuple[str, ...], path: str
) -> None:
    """Raises RouteError when the handler cannot be called with the request and names."""
    name = handler_name(handler)
    if signature.request_name is None and not signature.takes_any_positional:
        raise RouteError(
            f"route {path}: {name} takes no request; write def {plain_name(handler)}(req, …)"
        )
    if signature.request_name in names:
        raise RouteError(
            f"route {path}: the first argument of {name} is the request,"
            f" the parameter {signature.request_name!r} of the path comes after it"
        )
    taken = signature.positional + signature.keyword_required + signature.keyword_optional
    for parameter in names:
        if parameter not in taken and not signature.takes_any_keyword:
            raise RouteError(
                f"route {path}: the path has {parameter!r}, which {name} does not take"
            )
    required = signature.positional[: signature.required_count] + signature.keyword_required
    for parameter in required:
        if parameter not in names:
            raise RouteError(
                f"route {path}: {name} wants {parameter!r}, which the path does not have"
            )
    for parameter in signature.positional[: signature.positional_only_count]:
        if parameter in names and position_order(signature, names) is None:
            raise RouteError(
                f"route {path}: {name} takes {parameter!r} by position only,"
                " but an argument before it is not in the path"
            )


def position_order(signature: Signature, names: tuple[str, ...]) -> Order:
    """The indexes into names for the handler's leading parameters, None if they are not exactly the
    path's.
    """
    leading = signature.positional[: len(names)]
    if len(leading) < len(names) or set(leading) != set(names):
        return None
    return tuple(names.index(name) for name in leading)


def plain_name(handler: Callable[..., Any]) -> str:
    """The name of a handler for a message: user, or Pages.user."""
    name = getattr(handler, "__qualname__", None)
    if name is None:
        return type(handler).__name__
    return str(name).rpartition("<locals>.")[2]


def handler_name(handler: Callable[..., Any]) -> str:
    """The name of a handler with what it takes: user(req, id)."""
    signature = signature_of(handler) if not isinstance(handler, type) else None
    if signature is None:
        return f"{plain_name(handler)}()"
    names = [*signature.positional, *signature.keyword_required, *signature.keyword_optional]
    if signature.request_name is not None:
        names.insert(0, signature.request_name)
    return f"{plain_name(handler)}({', '.join(names)})"
