"""asset(): the names under which pages refer to public files."""

from __future__ import annotations

from ..errors import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .collection import Statics
    from .host import HostFiles

WAR = 2

WARNED_COUNT_MAX = 1000  # names of which the log says that nobody knows them


class Assets:
    """The names of a Statics."""

    def __init__(self, statics: Statics) -> None:
        self.statics = statics
        self._warned: set[str] = set()

    def url(self, name: str, host: str) -> str:
        """The URL path of a file, with its fingerprint, encoded; a query or fragment stays."""
        if not isinstance(name, str):
            raise TypeError(f"asset: the name of a file is a str, not {type(name).__name__}")
        if "://" in name or name.startswith("//"):
            return name  # somebody else's
        path, tail = name, ""
        for sign in "#?":
            cut = path.find(sign)
            if cut >= 0:
                path, tail = path[:cut], path[cut:] + tail
        path = path if path.startswith("/") else f"/{path}"
        url = self.host_of(host).url(path) if self.statics.is_loaded else ""
        if not url:
            self._warn_unknown(path, host)
            url = path
        return url + tail

    def host_of(self, authority: str) -> HostFiles:
        """The host that an authority means, by the core's rule: itself (a dot at the end does not
        count), else without its first label, else the main one.
        """
        hosts = self.statics.hosts
        if authority and len(hosts) > 1:
            name = authority.lower()
            if not name.endswith("]"):
                name = name.rpartition(":")[0] or name
            name = name[:-1] if name.endswith(".") else name
            found = hosts.get(name) or hosts.get(name.partition(".")[2])
            if found is not None:
                return found
        return hosts[""]

    def _warn_unknown(self, path: str, host: str) -> None:
        if path in self._warned or len(self._warned) >= WARNED_COUNT_MAX:
            return
        self._warned.add(path)
        log = self.statics.log
        if not self.statics.is_loaded:
            log(WAR, f"asset({path!r}): files are read when the server starts; ask later")
            return
        known = self.host_of(host).winners
        log(WAR, f"asset({path!r}): there is no such file.{did_you_mean(path, known)}")
