"""The cookies that the test client keeps."""

from __future__ import annotations

import time
from http.cookies import SimpleCookie

from .library import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class CookieJar:
    """The cookies a client keeps. Reads as a mapping of names to values; paths and Secure are
    honoured when sending.
    """

    def __init__(self) -> None:
        self._cookies: dict[
            tuple[str, str], tuple[str, bool]
        ] = {}  # (name, path) → (value, secure)

    def store(self, line: str, request_path: str) -> None:
        """Takes over a Set-Cookie field; an expired one removes the cookie (RFC 6265 §5.3)."""
        for name, morsel in SimpleCookie(line).items():
            path = morsel["path"] or request_path.rpartition("/")[0] or "/"
            if _is_over(morsel["max-age"], morsel["expires"]):
                self._cookies.pop((name, path), None)
            else:
                self._cookies[name, path] = (morsel.value, bool(morsel["secure"]))

    def matching(self, path: str, is_secure: bool) -> dict[str, str]:
        """The cookies to send to a path, those of longer paths winning."""
        found = {}
        for (name, cookie_path), (value, secure) in sorted(self._cookies.items(), key=_path_size):
            folder = cookie_path if cookie_path.endswith("/") else cookie_path + "/"
            if (path == cookie_path or path.startswith(folder)) and (is_secure or not secure):
                found[name] = value
        return found

    def set(self, name: str, value: str, path: str = "/") -> None:
        """Adds a cookie by hand."""
        self._cookies[name, path] = (value, False)

    def clear(self) -> None:
        """Forgets all cookies."""
        self._cookies.clear()

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of a cookie of that name, whatever its path."""
        for (known, _), (value, _) in self._cookies.items():
            if known == name:
                return value
        return default

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        known = [key for key in self._cookies if key[0] == name]
        if not known:
            raise KeyError(name)
        for key in known:
            del self._cookies[key]

    def __contains__(self, name: object) -> bool:
        return any(known == name for known, _ in self._cookies)

    def __iter__(self) -> Iterator[str]:
        return iter({name for name, _ in self._cookies})

    def __len__(self) -> int:
        return len({name for name, _ in self._cookies})

    def __repr__(self) -> str:
        return f"CookieJar({ {name: value for (name, _), (value, _) in self._cookies.items()} })"


def _path_size(item: tuple[tuple[str, str], tuple[str, bool]]) -> int:
    return len(item[0][1])


def _is_over(max_age: str, expires: str) -> bool:
    if max_age:
        return int(max_age) <= 0
    if expires:
        parsedate_to_datetime = library("email.utils").parsedate_to_datetime
        return bool(parsedate_to_datetime(expires).timestamp() <= time.time())
    return False
