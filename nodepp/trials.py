"""What a start would open, tried and given back, for nodepp-run --check: addresses, folders, logs,
the place of long bodies, the cache, the session file.

Nothing is left behind, and nothing that a running server has is touched. What one of ours holds
(its port, its socket, its session file) is a note: the check comes before its restart.
"""

from __future__ import annotations

import errno
import os
import stat

from .errors import StartError
from .library import library
from .listeners import AddressTaken, Listener, parse_address, try_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .app import App
    from .config import Config

FOLDERS = ("res", "resmin", "snippets", "templates")


class Trials:
    """What was found. problems: a start would fail, or requests would. notes: worth knowing."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.addresses: list[str] = []      # that a start could listen on

    def try_all(self, app: App) -> None:
        """Everything. What StartErrors say becomes problems."""
        config = self.config
        for name, path in (("logFile", config.log_file), ("accessLogFile", config.access_log_file)):
            if path:
                self._try_log(name, path)
        self._try_addresses()
        for name in FOLDERS:
            self._try_folder(name, getattr(config, name))
        self._try_spool()
        self._try_cache()
        self._try_blocked()
        if config.session_file:
            self._try_sessions(app)

    # --- addresses ------------------------------------------------------------------------------

    def _try_addresses(self) -> None:
        """All are open together for a moment, as at a start: two of them may contradict."""
        config = self.config
        addresses = [parse_address(text) for text in config.listeners]
        opened: list[Listener] = []
        try:
            for text, address in zip(config.listeners, addresses):
                if address.kind in ("fd", "systemd"):
                    self.notes.append(f"{text}: its socket comes with the start: not tried.")
                    continue
                try:
                    opened += try_address(
                        address, addresses, config.backlog, config.uds_permissions)
                    self.addresses.append(text)
                except AddressTaken as error:
                    self._note_holder(str(error), error.pid)
                except StartError as error:
                    self.problems.append(str(error))
        finally:
            for listener in opened:
                listener.close()

    def _note_holder(self, text: str, pid: int) -> None:
        if pid != os.getpid() and is_server(pid):    # ours: the same address twice
            first = text.partition(". Try")[0].rstrip(".")
            process = "" if f"pid {pid}" in first else f", process {pid}"
            self.notes.append(f"{first}: that is a running server of nodepp{process}.")
        else:
            self.problems.append(text)

    # --- folders and files ----------------------------------------------------------------------

    def _try_folder(self, name: str, path: str) -> None:
        if not os.path.isdir(path):
            return                          # finding the application has warned of it
        try:
            os.scandir(path).close()
        except OSError as error:
            self.problems.append(f"{name}={path}: {error.strerror}.")

    def _try_log(self, name: str, path: str) -> None:
        problem = why_not_written(path)
        if problem:
            self.problems.append(f"{name}={path}: {problem}.")
        elif free_size(os.path.dirname(path)) == 0:
            self.problems.append(f"{name}={path}: {os.strerror(errno.ENOSPC)}.")

    def _try_spool(self) -> None:
        config = self.config
        if config.spool_size >= config.max_payload:
            return                          # every body that is taken fits into memory
        folder = config.spool_dir or os.environ.get("TMPDIR") or "/tmp"
        problem = why_no_spool(folder)
        sizes = self._sizes()
        if problem:
            self.problems.append(
                f"spoolDir={folder}: {problem}. Bodies of more than {sizes['spool_size']}"
                " (spoolSize) would be answered 503. Make it, or name another folder.")
            return
        free = free_size(folder)
        if free is not None and free < config.max_payload:
            self.notes.append(f"spoolDir={folder}: {free:,} bytes are free there, and one body may"
                              f" have {sizes['max_payload']} (maxPayload).")

    def _sizes(self) -> dict[str, str]:
        from .settings import KEYS
        from .values import format_value

        return {key.attribute: format_value(key, getattr(self.config, key.attribute))
                for key in KEYS if key.kind == "size"}

    def _try_cache(self) -> None:
        config = self.config
        if config.compress and config.static_cache:
            from .statics.codings import why_no_cache

            problem = why_no_cache(config.static_cache)
            if problem:
                self.notes.append(f"staticCache={config.static_cache}: {problem}. Each start would"
                                  " compress all files again.")

    def _try_blocked(self) -> None:
        from .blocked import why_not_usable

        path = self.config.blocked_file
        problem = path and (why_not_written(path) or why_not_usable(path))
        if problem:
            self.notes.append(f"blockedFile={path}: {problem}. nodepp-run --blocked would not show"
                              " which addresses a server blocks.")

    def _try_sessions(self, app: App) -> None:
        from .sessions.file import check_file, file_size, user_of

        path = self.config.session_file
        problem = why_not_written(path)
        if problem:
            self.problems.append(f"sessionFile={path}: {problem}.")
            return
        try:
            check_file(path)
        except StartError as error:
            self.problems.append(str(error))
            return
        pid = user_of(path)
        if pid and is_server(pid):
            self.notes.append(f"sessionFile={path}: a running server of nodepp uses it, process"
                              f" {pid}.")
        if not os.path.exists(path):
            self._try_room(path, file_size(self.config, app.session_class))

    def _try_room(self, path: str, size: int) -> None:
        from .sessions.disk import size_text

        free = free_size(os.path.dirname(path))
        if free is not None and free < size:
            self.problems.append(
                f"sessionFile={path}: it takes {size_text(size)}, and {size_text(free)} are free"
                " there. Make room, or lower maxSessions or sessionDataSize.")


def is_server(pid: int) -> bool:
    """Whether a process is a server of nodepp, as far as one may look: it has the core loaded."""
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return any(b"/nodepp/_core." in line for line in file)
    except OSError:
        return False


def why_not_written(path: str) -> str:
    """Why a file cannot be opened for writing, or made; "" if it can. Makes nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return _why_not_made(path)
    if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
        return "" if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _why_not_made(path: str) -> str:
    if os.path.islink(path):
        path = os.path.realpath(path)       # the file that would be made
        if os.path.islink(path):
            return os.strerror(errno.ELOOP)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return os.strerror(errno.ENOTDIR if os.path.lexists(folder) else errno.ENOENT)
    if len(os.fsencode(os.path.basename(path))) > 255:
        return os.strerror(errno.ENAMETOOLONG)
    # access(2) knows of file systems that are mounted to be read only.
    return "" if os.access(folder, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def why_no_spool(folder: str) -> str:
    """Why no file for a long body can be made and written there; "" if one can."""
    try:
        with library("tempfile").TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(4096))         # a full disk may still take an empty file
    except OSError as error:
        return error.strerror or str(error)
    return ""


def free_size(folder: str) -> int | None:
    """Bytes that we may still write there; None if the file system does not say."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return None
    blocks = room.f_bavail if os.geteuid() else room.f_bfree
    return blocks * room.f_frsize if room.f_blocks else None
