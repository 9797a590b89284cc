"""nodepp-run: the command line.

Options are made from the table in settings.py, so that each has its npp.conf key, its name in the
environment and its place in --help. argparse parses (17 ms to import; the rich ones take 40 to 70).
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from .config import Config, load
from .errors import ConfigError, StartError, did_you_mean
from .log import complain, log
from .settings import KEYS
from .streams import say, secure, settle
from .values import Key, format_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn, Optional

    from .site import Site

EXIT_USAGE = 2
EXIT_START = 3

GROUPS = {
    "listen": "Where to listen",
    "app": "The application and its files",
    "static": "Public files: compressed, cached",
    "limits": "Limits: past each there is a defined answer",
    "time": "Time allowed",
    "sessions": "Visitors: sessions, levels of access, lists of addresses",
    "log": "Logs",
}

USAGE = """\
nodepp-run [APP] [options]      APP: module, module:attr, file.py, folder, or two words: ATTR MODULE

  nodepp-run                    app.py or main.py of this folder, or its files as a site
  nodepp-run app:app -p 8081    the object app of module app, on another port
  nodepp-run site/ --host ::    a folder, on all addresses
  nodepp-run --check            tries what a start needs, and serves nothing

"""

EVERYDAY = ("--host", "--port", "--bind", "--static", "--limit-connections", "--limit-body",
            "--timeout-keep-alive", "--access-log", "--log-level")

OTHERS = (
    ("--conf, -c FILE", "settings from this file instead of npp.conf"),
    ("--app-dir FOLDER", "where the application lies, with res/, npp.conf and the rest"),
    ("--set KEY=VALUE", "any key of npp.conf; may be repeated"),
    ("--print-config", "each setting and where it came from"),
    ("--print-statics", "each public file, with its bytes in each coding"),
    ("--blocked, --unblock ADDRESS", "shows who is blocked; lets an address in again"),
    ("--version", "version of nodepp, Python and core"),
    ("-q, -v", "only errors; whole tracebacks and debugging"),
)


class Parser(argparse.ArgumentParser):
    """Complains in two lines, not in a page."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}.\n  Try: nodepp-run --help")


def make_parser() -> Parser:
    # Without a width the formatter would import shutil to measure the terminal (4 ms).
    parser = Parser(
        prog="nodepp-run", usage="", add_help=False, allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100))
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", nargs="?", const="everyday", metavar="GROUP")
    parser.add_argument("--app-dir", metavar="FOLDER")
    parser.add_argument("-c", "--conf", "--config", metavar="FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--print-config", action="store_true")
    parser.add_argument("--print-statics", action="store_true")
    parser.add_argument("--blocked", action="store_true")
    parser.add_argument("--unblock", metavar="ADDRESS")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    for key in KEYS:
        if not key.options:
            continue
        if key.kind == "flag":
            parser.add_argument(*key.options, dest=key.name, action="store_const", const="1")
        elif key.kind == "texts":
            parser.add_argument(*key.options, dest=key.name, action="append")
        else:
            parser.add_argument(*key.options, dest=key.name)
        if has_negative(key):
            no = [f"--no-{option[2:]}" for option in key.options if option.startswith("--")]
            parser.add_argument(*no, dest=key.name, action="store_const", const="0")
    return parser


def has_negative(key: Key) -> bool:
    """True for settings with a --no- form."""
    return key.kind in ("flag", "server")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The console script. Gives the exit status: 0, 1 (stdout cannot be written), 2 (usage,
    settings) or 3 (cannot start).
    """
    started = time.perf_counter()
    secure()
    try:
        return run(list(sys.argv[1:] if arguments is None else arguments), started)
    except ConfigError as error:
        status = EXIT_USAGE
        text = str(error)
    except (StartError, ImportError) as error:      # ImportError: the core is not built
        status = EXIT_START
        text = str(error)
    finally:
        settle()
    complain(text)
    return status


def run(arguments: list[str], started: float) -> int:
    parser = make_parser()
    options, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        name = unknown[0].partition("=")[0]
        known = [option for action in parser._actions for option in action.option_strings]
        raise ConfigError(
            f"nodepp-run has no option {name}.{did_you_mean(name, known)}\n"
            "  Try: nodepp-run --help all")
    if options.help:
        return say(help_text(options.help))
    if options.version:
        return say(version_text())
    if options.quiet and options.verbose:
        raise ConfigError("-q and -v contradict: one asks for less, the other for more.")
    words, app_dir = find_words(options)
    here = os.getcwd()                      # an application may go elsewhere before a reload

    def read() -> Config:
        return load(command_line(options), None, options.conf, app_dir, here)

    config = read()
    if options.print_config:
        return say(config.listing())

    if options.blocked or options.unblock is not None:
        return tell_or_unblock(options, config)

    def find_site(config: Config) -> Site:
        return site_for(words or config.app.split(), bool(options.words) and not words,
                        config, options.verbose)

    if options.check:
        from .checking import check

        return check(config, find_site)
    if options.print_statics:
        from .checking import print_statics

        return print_statics(config, find_site(config))
    from .server import Server, serve

    return serve(Server(config, find_site, read, options.verbose, started))


def tell_or_unblock(options: Any, config: Config) -> int:
    """--blocked and --unblock."""
    from .access import blocked_listing, unblock

    if options.blocked and options.unblock is not None:
        raise ConfigError("--blocked and --unblock contradict: one at a time.")
    if options.unblock is not None:
        return say(unblock(config, options.unblock))
    text, note = blocked_listing(config)
    log.tell(note)                          # the list alone goes into a pipe
    return say(text)


def find_words(options: Any) -> tuple[list[str], Optional[str]]:
    """The words that name the application, and its folder if one of them is a folder."""
    words = options.words
    if len(words) > 2:
        raise ConfigError(f"One or two words name the application, not {len(words)}."
                          "\n  Try: nodepp-run module:attr")
    if len(words) == 1 and os.path.isdir(words[0]) and not is_package(words[0]):
        if options.app_dir:
            raise ConfigError(f"The folder {words[0]!r} and --app-dir contradict.")
        return [], words[0]
    return words, options.app_dir


def is_package(word: str) -> bool:
    """A folder that is meant as a module: shop, with an __init__.py, but not shop/ or ./shop."""
    return os.sep not in word and os.path.isfile(os.path.join(word, "__init__.py"))


def command_line(options: Any) -> list[tuple[str, str, str]]:
    """(key, text, origin) of what was given, in an order in which the plain options win."""
    given = []
    if options.quiet:
        given.append(("logLevel", "1", "-q"))
    if options.verbose:
        given.append(("logLevel", "4", "-v"))
    for pair in options.set:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError(f"--set {pair}: expected KEY=VALUE.")
        given.append((name.strip(), text.strip(), f"--set {name.strip()}"))
    for key in KEYS:
        value = getattr(options, key.name, None) if key.options else None
        if value is not None:
            text = ",".join(value) if isinstance(value, list) else value
            given.append((key.name, text, key.options[0]))
    return given


# --- what to serve ------------------------------------------------------------------------------


def site_for(words: Sequence[str], is_folder: bool, config: Config, verbose: bool) -> Site:
    """Finds and imports the application; a folder without one is a static site, or greets.

    is_folder: somebody named a folder.
    """
    from . import target
    from .app import App, user_settings
    from .site import site_of

    folder = config.app_dir
    user_settings.update(config.user)
    found = list(words) or [target.discover(folder)]
    if found[0]:
        loaded = target.load(found, folder, verbose)
        tell_of_folders(loaded.file, config, words)
        return site_of(loaded.app, f"{loaded.name} from {loaded.place}", config)
    app = App()
    if os.path.isdir(config.res) or os.path.isdir(config.resmin):
        return site_of(app, "none: a static site", config)
    # A folder that somebody names is meant to be served; one that nodepp-run happens to be
    # started in is so only if it looks like a site.
    is_meant = is_folder or os.path.isfile(os.path.join(folder, "index.html"))
    if is_meant and target.has_public_files(folder):
        app.serve(folder)
        return site_of(app, "none: a static site", config)
    app.add_static("/", target.greeting(folder), "text/html; charset=utf-8")
    looked = " or ".join(target.FILES)
    return site_of(app, f"none: no {looked} in {folder}", config)


def tell_of_folders(file: str, config: Config, words: Sequence[str]) -> None:
    """Names what lies beside an application that is not in the application's folder, where only
    the other things are looked for: nodepp-run mysite/app.py.

    file: absolute, of the application.
    """
    from .log import WAR, short_path

    beside = os.path.dirname(file)
    if not file or os.path.realpath(beside) == os.path.realpath(config.app_dir):
        return
    there = [key for key in KEYS if key.name in ("res", "resmin", "snippets", "templates")
             and not os.path.isdir(getattr(config, key.attribute))
             and not config.is_set(key.attribute)
             and os.path.isdir(os.path.join(beside, key.default))]
    if not there:
        return
    shown = [short_path(os.path.join(beside, key.default)) for key in there]
    name, colon, attribute = words[0].partition(":") if len(words) == 1 else ("", "", "")
    if name.endswith(".py"):
        hint = f"--app-dir {short_path(beside)} {os.path.basename(name)}{colon}{attribute}"
    else:                                   # with a package's folder it would be another module
        hint = f"{' '.join(words)} {there[0].options[0]} {shown[0]}"
    log.write(WAR, f"{' '.join(shown)}: beside the application, but not in the application's folder"
                   f" {short_path(config.app_dir)}: not used. Try: nodepp-run {hint}")


# --- texts --------------------------------------------------------------------------------------


def version_text() -> str:
    from . import __version__
    from .app import import_core

    _core = import_core()
    python = ".".join(map(str, sys.version_info[:3]))
    return f"nodepp {__version__}  Python {python}  core {_core.FLAVOUR}\n"


def help_text(group: str) -> str:
    """The everyday options in 25 lines, or all options of a group."""
    if group == "everyday":
        rows = [row for key in KEYS for row in [help_row(key)] if EVERYDAY_NAMES & set(key.options)]
        rows += [f"  {left:<30}{right}" for left, right in OTHERS]
        groups = "|".join(GROUPS)
        return f"{USAGE}" + "\n".join(rows) + f"\n\nMore: nodepp-run --help {groups}|all\n"
    if group != "all" and group not in GROUPS:
        groups = ", ".join(GROUPS)
        raise ConfigError(f"There is no group {group!r} of options. Groups: {groups}, all.")
    parts = []
    for name, title in GROUPS.items():
        if group in (name, "all"):
            rows = [help_row(key) for key in KEYS if key.group == name and key.name != "app"]
            parts.append("\n".join([f"{title}:", *rows]))
    if group == "all":
        parts.append("\n".join(["Others:", *(f"  {left:<30}{right}" for left, right in OTHERS)]))
    parts.append("In parentheses: keys of npp.conf that have no option but --set KEY=VALUE.")
    return "\n\n".join(parts) + "\n"


EVERYDAY_NAMES = set(EVERYDAY)


def help_row(key: Key) -> str:
    """One option: how it is written, what it does, its default."""
    names = ", ".join(key.options) if key.options else f"({key.name})"
    if has_negative(key) and key.options:
        names = f"--[no-]{key.options[0][2:]}"
    metavar = {
        "number": " N", "size": " SIZE", "duration": " TIME", "path": " PATH", "mode": " OCTAL",
        "texts": " ADDRESS", "text": " TEXT", "host": " HOST", "server": " TEXT", "model": " NAME",
        "level": " LEVEL", "auth_level": " LEVEL",
        "cookie": " NAME", "page": " PATH", "choice": " " + "|".join(key.choices), "flag": "",
    }[key.kind]  # fmt: skip
    default = format_value(key, key.default)
    shown = f" ({default})" if default else ""
    left = f"  {names}{metavar}"
    gap = " " * (32 - len(left)) if len(left) < 31 else "\n" + " " * 32
    return f"{left}{gap}{key.help}{shown}"
