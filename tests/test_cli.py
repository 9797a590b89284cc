"""nodepp-run short of serving: what it says, and with which status it ends.

Each text here is what a person reads in their first ten minutes; a change of it is meant.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from nodepp import _core, cli
from nodepp import app as app_module
from nodepp.config import load, load_settings
from nodepp.settings import KEYS

ROOT = Path(__file__).resolve().parent.parent

APP = """\
from nodepp import App
app = App()

@app.get("/")
def landing(req):
    return "hello"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in; what is imported from it is forgotten afterwards."""
    for name in [name for name in cli.os.environ if name.startswith("NPP_") or name == "PORT"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("NPP_PORT", "0")     # --check binds, and the default may be taken
    monkeypatch.chdir(tmp_path)
    if _core.FLAVOUR == "trace":
        # The coverage plugin looks for the parts of the core from the current folder.
        (tmp_path / "nodepp").symlink_to(ROOT / "nodepp")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(app_module, "user_settings", {})
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        # Only its own: a library that is imported a second time has its classes twice.
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[name]


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]):
    """run(*words) gives (status, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        status = cli.main(words)
        out, err = capfd.readouterr()
        return status, out, err

    return call


# --- texts ----------------------------------------------------------------------------------------


def test_help_has_about_twenty_five_lines_of_eighty_columns(run) -> None:
    status, out, err = run("--help")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert len(lines) <= 28
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("nodepp-run [APP] [options]")


def test_every_option_stands_in_the_full_help(run) -> None:
    _, out, _ = run("--help", "all")
    for key in KEYS:
        for option in key.options:
            has_negative = key.kind in ("flag", "server")
            assert (f"--[no-]{option[2:]}" if has_negative else option) in out


@pytest.mark.parametrize("group", cli.GROUPS)
def test_each_group_has_its_help(run, group: str) -> None:
    status, out, _ = run("-h", group)
    assert status == 0
    assert out.startswith(cli.GROUPS[group])


def test_unknown_group_is_refused(run) -> None:
    assert run("--help", "everything") == (
        2, "", "There is no group 'everything' of options."
               " Groups: listen, app, static, limits, time, sessions, log, all.\n")


def test_version_names_python_and_the_flavour(run) -> None:
    status, out, _ = run("--version")
    assert status == 0
    assert re.fullmatch(r"nodepp \S+  Python \S+  core (release|debug|trace|asan)\n", out)


# --- wrong usage: 2 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--prot", "80"),
         "nodepp-run has no option --prot. Did you mean '--port'?\n"
         "  Try: nodepp-run --help all\n"),
        (("--frobnicate",),
         "nodepp-run has no option --frobnicate.\n  Try: nodepp-run --help all\n"),
        (("--port",), "Argument --port/-p: expected one argument.\n  Try: nodepp-run --help\n"),
        (("--port", "high"), "--port: httpPort=high: expected a whole number.\n"),
        (("--port", "70000"), "--port: httpPort=70000: expected 0 to 65535.\n"),
        (("--set", "logLevel"), "--set logLevel: expected KEY=VALUE.\n"),
        (("--set", "loglevel=3"),
         "--set loglevel: unknown key 'loglevel'. Did you mean 'logLevel'?\n"
         "Keys of your own begin with app. (allowUnknownKeys=1: only a warning)\n"),
        (("-q", "-v"), "-q and -v contradict: one asks for less, the other for more.\n"),
        (("a", "b", "c"),
         "One or two words name the application, not 3.\n  Try: nodepp-run module:attr\n"),
        (("--bind", "x:1", "--port", "2"),
         "bind (--bind) and httpPort (--port) contradict: bind has host and port already.\n"),
        (("--conf", "x.conf"), "--conf: there is no file 'x.conf'.\n"),
        (("--app-dir", "x"), "--app-dir: there is no folder 'x'.\n"),
        (("--log-file", "$NOWHERE/x"),
         "--log-file: logFile=$NOWHERE/x: the environment has no NOWHERE.\n"),
    ],
)
def test_wrong_usage_is_said_in_two_lines(run, words, message: str) -> None:
    assert run(*words) == (2, "", message)


def test_unknown_key_of_conf_names_file_and_line(run, folder: Path) -> None:
    (folder / "npp.conf").write_text("logLevel=3\nhtpPort=80\n")
    status, _, err = run("--check")
    assert status == 2
    assert err.startswith("npp.conf:2: unknown key 'htpPort'. Did you mean 'httpPort'?\n")


def test_folder_and_app_dir_contradict(run, folder: Path) -> None:
    (folder / "site").mkdir()
    assert run("site", "--app-dir", ".") == (2, "", "The folder 'site' and --app-dir contradict.\n")


# --- settings -------------------------------------------------------------------------------------


def test_print_config_shows_values_and_origins(run, folder: Path, monkeypatch) -> None:
    monkeypatch.delenv("NPP_PORT")
    (folder / "npp.conf").write_text("httpPort=81\napp.title=Shop\n")
    status, out, _ = run("--print-config", "--host", "::1", "-q", "--set", "maxPayload=2m")
    rows = dict(re.split(r"  +# ", line) for line in out.splitlines())
    assert status == 0
    assert rows["httpPort=81"] == "npp.conf:1"
    assert rows["host=::1"] == "--host"
    assert rows["logLevel=1"] == "-q"
    assert rows["maxPayload=2m"] == "--set maxPayload"
    assert rows["app.title=Shop"] == "npp.conf:2"
    assert rows["backlog=2048"] == "default"


@pytest.mark.parametrize(
    ("words", "row"),
    [
        (("--access-log",), "accessLog=1"),
        (("--no-access-log",), "accessLog=0"),
        (("--no-server-header",), "serverHeader=0"),
        (("--server-header", "x"), "serverHeader=x"),
        (("-b", "a:1", "-b", "b:2"), "bind=a:1,b:2"),
        (("--keep-alive", "5"), "connectionTimeout=5s"),
        (("-v",), "logLevel=4"),
        (("-v", "--log-level", "2"), "logLevel=2"),
        (("--set", "httpPort=1", "--port", "2"), "httpPort=2"),
        (("-p", "3", "some:app"), "httpPort=3"),
    ],
)
def test_option_sets_its_key(run, words, row: str) -> None:
    _, out, _ = run("--print-config", *words)
    assert any(line.split("  ")[0] == row for line in out.splitlines())


def test_paths_that_are_typed_start_in_the_current_folder(run, folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "npp.conf").write_text("resmin=small\nlogFile=x.log\n")
    words = ("--static", "public", "--set", "snippets=parts", "--static-cache", "cache")
    _, out, _ = run("--print-config", "site/", *words)
    rows = [line.split("  ")[0] for line in out.splitlines()]
    for name, path in (("res", "public"), ("snippets", "parts"), ("staticCache", "cache"),
                       ("resmin", "site/small"), ("logFile", "site/x.log"),
                       ("templates", "site/templates")):
        assert f"{name}={folder / path}" in rows


def test_a_reload_finds_typed_paths_where_they_were(folder: Path) -> None:
    (folder / "site").mkdir()
    found = load([("res", "public", "--static")], {}, None, "site", str(folder / "there"))
    assert found.res == str(folder / "there" / "public")
    assert load_settings({"res": "public"}, "site").res == str(folder / "site" / "public")


@pytest.mark.parametrize("option", ["static", "resmin", "snippets", "templates"])
def test_folders_that_are_not_there_are_named(run, folder: Path, option: str) -> None:
    (folder / "app.py").write_text(APP)
    _, _, err = run("--check", f"--{option}", "nowhere")
    assert f"--{option}: there is no folder {folder}/nowhere." in err


@pytest.mark.parametrize("option", ["--log-file", "--access-log-file"])
@pytest.mark.parametrize(
    ("path", "reason"), [("no/x.log", "No such file or directory"), (".", "Is a directory")])
def test_check_refuses_a_log_that_the_start_would(run, folder, option, path, reason) -> None:
    (folder / "app.py").write_text(APP)
    status, out, err = run("--check", option, path)
    assert (status, out) == (3, "")
    assert err.endswith(f"{reason}.\n")
    assert run("--check", option, "x.log")[0] == 0
    assert not (folder / "x.log").exists()


# --- finding the application ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app.py", "main.py"])
def test_application_of_the_folder_is_found(run, folder: Path, name: str) -> None:
    (folder / name).write_text(APP)
    assert run("--check") == (
        0,
        "Settings are fine: no npp.conf\n"
        f"Application is fine: {name[:-3]}:app from {name}  (1 route)\n"
        "Addresses are fine: 127.0.0.1:0\n",
        "",
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("shop",), "shop:app from shop.py"),
        (("shop:app",), "shop:app from shop.py"),
        (("shop.py",), "shop:app from shop.py"),
        (("shop.py:other",), "shop:other from shop.py"),
        (("shop:make",), "shop:make from shop.py"),
        (("app", "shop"), "shop:app from shop.py"),
        (("shop", "app"), "shop:app from shop.py"),
        (("sub/thing.py",), "thing:app from sub/thing.py"),
        (("--app-dir", "sub", "thing"), "thing:app from sub/thing.py"),
        (("package.module:app",), "package.module:app from package/module.py"),
        (("sub",), "app:app from sub/app.py"),
    ],
)
def test_target_is_understood(run, folder: Path, words, text: str) -> None:
    (folder / "shop.py").write_text(APP + "\nother = app\ndef make():\n    return app\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "thing.py").write_text(APP)
    (folder / "sub" / "app.py").write_text(APP)
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "module.py").write_text(APP)
    status, out, err = run("--check", *words)
    assert (status, err) == (0, "")
    assert f"Application is fine: {text}  (1 route)\n" in out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("mysite/app.py",), "--app-dir mysite app.py"),
        (("mysite/app.py:app",), "--app-dir mysite app.py:app"),
        (("mysite.app:app",), "mysite.app:app --static mysite/res"),
        (("app", "mysite.app"), "app mysite.app --static mysite/res"),
    ],
)
def test_folders_beside_an_application_elsewhere_are_named(run, folder, words, hint) -> None:
    (folder / "mysite" / "res").mkdir(parents=True)
    (folder / "mysite" / "templates").mkdir()
    (folder / "mysite" / "app.py").write_text(APP)
    _, _, err = run("--check", *words)
    assert "mysite/res mysite/templates: beside the application, but not in the" in err
    assert err.endswith(f"Try: nodepp-run {hint}\n")
    assert run("--check", *hint.split())[2].count("mysite/res") == 0


def test_folders_beside_an_application_elsewhere_are_not_named_when_others_are_used(
    run, folder
) -> None:
    (folder / "mysite" / "res").mkdir(parents=True)
    (folder / "mysite" / "app.py").write_text(APP)
    assert run("--check", "mysite/")[2] == ""
    assert "not used" not in run("--check", "mysite/app.py", "--static", "none")[2]
    (folder / "res").mkdir()
    assert run("--check", "mysite/app.py")[2] == ""


def test_two_words_are_turned_around_when_only_that_works(run, folder: Path) -> None:
    (folder / "app.py").write_text("x = 1\n")
    (folder / "main.py").write_text(APP)
    _, out, _ = run("--check", "main", "app")
    assert "main:app from main.py" in out


def test_factory_and_single_app_are_found_without_a_name(run, folder: Path) -> None:
    (folder / "app.py").write_text(
        "from nodepp import App\ndef create_app():\n    return App()\n")
    assert "app:create_app from app.py" in run("--check")[1]
    (folder / "main.py").write_text("from nodepp import App\nsite = App()\n")
    assert "main:site from main.py" in run("--check", "main")[1]


def test_function_with_arguments_is_no_factory(run, folder: Path) -> None:
    (folder / "app.py").write_text("async def app(scope, receive, send):\n    pass\n")
    assert run("--check") == (
        3, "",
        "app:app takes (scope, receive, send), so it makes no App."
        " ASGI and WSGI applications are not served yet.\n")


def test_dashes_make_no_option_alike(run) -> None:
    assert run("--workers", "4")[2].startswith("nodepp-run has no option --workers.\n")


def test_module_of_node_plus_plus_needs_no_app(run, folder: Path) -> None:
    (folder / "app.py").write_text(
        "from nodepp.npp import *\n\ndef npp_app_main():\n    OUT('hello')\n")
    assert "Application is fine: app:npp_app_main from app.py\n" in run("--check")[1]


def test_app_of_conf_is_used_when_no_word_is_given(run, folder: Path) -> None:
    (folder / "npp.conf").write_text("app=shop\n")
    (folder / "shop.py").write_text(APP)
    assert "shop:app from shop.py" in run("--check")[1]


def test_users_settings_are_there_while_the_application_is_imported(run, folder: Path) -> None:
    (folder / "npp.conf").write_text("app.title=Shop\n")
    (folder / "app.py").write_text(
        "from nodepp import App\napp = App()\nassert app.config['title'] == 'Shop'\n")
    assert run("--check")[0] == 0


# --- cannot start: 3 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mian",), "Cannot import 'mian'. Did you mean 'main' (./main.py)?\n"),
        (("zebra",), "Cannot import 'zebra'.\n"),
        (("mian.py",), "There is no file 'mian.py'. Did you mean 'main.py'?\n"),
        (("noplace/",), "There is no folder 'noplace/'. Did you mean 'place'?\n"),
        (("place/index.html",),
         "'place/index.html' is no Python file. To serve the folder that it is in:"
         " nodepp-run place/\n"),
        (("page.html",),
         "'page.html' is no Python file. To serve the folder that it is in: nodepp-run .\n"),
        (("pages.html",), "Cannot import 'pages.html'.\n"),
        (("main:ap",), "'main' has no 'ap'. Found: app (App), create_app (factory).\n"),
        (("ap", "main"), "'main' has no 'ap'. Found: app (App), create_app (factory).\n"),
        (("main:",), "'main:' names no attribute after the colon. Try: main\n"),
        (("main:number",),
         "main:number is of type int; nodepp serves an App, or a module with npp_app_main."
         " Found: app (App), create_app (factory).\n"),
        (("empty",),
         "'empty' has no application."
         " Looked for app, application, api, create_app and npp_app_main.\n"),
        (("leaves",), "leaves ended the process while it was imported (exit 7).\n"),
    ],
)
def test_what_cannot_be_started_is_said(run, folder: Path, words, message: str) -> None:
    (folder / "main.py").write_text(APP + "\nnumber = 1\ndef create_app():\n    return app\n")
    (folder / "empty.py").write_text("")
    (folder / "page.html").write_text("")
    (folder / "place").mkdir()
    (folder / "place" / "index.html").write_text("")
    (folder / "leaves.py").write_text("raise SystemExit(7)\n")
    assert run("--check", *words) == (3, "", message)


def test_error_inside_the_module_shows_the_users_frames_only(run, folder: Path) -> None:
    (folder / "app.py").write_text("import helper\n")
    (folder / "helper.py").write_text("def load():\n    return 1 / 0\n\nload()\n")
    assert run("--check") == (
        3,
        "",
        "app.py could not be imported: ZeroDivisionError: division by zero\n"
        "  app.py:1 in <module>: import helper\n"
        "  helper.py:4 in <module>: load()\n"
        "  helper.py:2 in load: return 1 / 0\n"
        "(full traceback: -v)\n",
    )


def test_whole_traceback_is_shown_with_v(run, folder: Path) -> None:
    (folder / "app.py").write_text("1 / 0\n")
    status, _, err = run("--check", "-v")
    assert status == 3
    assert "Traceback (most recent call last):" in err
    assert "importlib" in err
    assert "full traceback" not in err


def test_circular_import_is_named(run, folder: Path) -> None:
    (folder / "app.py").write_text("from models import Model\napp = 1\n")
    (folder / "models.py").write_text("from app import app\nclass Model: pass\n")
    status, _, err = run("--check")
    assert status == 3
    assert "circular import" in err
    assert "  models.py:1 in <module>: from app import app" in err


def test_missing_module_of_the_application_is_not_taken_for_the_application(
    run, folder: Path
) -> None:
    (folder / "app.py").write_text("import no_such_library\n")
    assert run("--check") == (
        3,
        "",
        "app.py could not be imported: ModuleNotFoundError: No module named 'no_such_library'\n"
        "  app.py:1 in <module>: import no_such_library\n"
        "(full traceback: -v)\n",
    )


def test_syntax_error_shows_its_line(run, folder: Path) -> None:
    (folder / "app.py").write_text("def broken(:\n    pass\n")
    status, _, err = run("--check")
    assert status == 3
    assert err.startswith("app.py could not be imported: SyntaxError: ")
    assert "line 1" in err


def test_file_named_like_a_module_of_python_is_refused(run, folder: Path) -> None:
    (folder / "json.py").write_text(APP)
    import json  # noqa: F401

    status, out, err = run("--check", "json.py")
    assert (status, out) == (3, "")
    assert err.endswith("\njson.py cannot be imported: 'json' is the name of another module.\n")


# --- folders without an application ---------------------------------------------------------------


def test_folder_with_res_is_a_static_site(run, folder: Path) -> None:
    (folder / "res").mkdir()
    (folder / "res" / "index.html").write_text("hello")
    _, out, _ = run("--check")
    assert "Application is fine: none: a static site\n" in out
    assert "Public files are fine: res  1 file" in out


def test_folder_with_an_index_is_a_static_site_without_its_private_files(
    run, folder: Path
) -> None:
    (folder / "site").mkdir()
    for name in ("index.html", "npp.conf", "secret.key", "tool.py"):
        (folder / "site" / name).write_text("")
    _, out, _ = run("--check", "site")
    assert "Public files are fine: site  1 file" in out


def test_a_named_folder_is_a_static_site_also_without_an_index(run, folder: Path) -> None:
    (folder / "site" / "sub").mkdir(parents=True)
    (folder / "site" / "sub" / "a.txt").write_text("a")
    _, out, _ = run("--check", "site")
    assert "Application is fine: none: a static site\n" in out
    assert "Public files are fine: site  1 file" in out
    (folder / "site" / "resmin").mkdir()
    (folder / "site" / "resmin" / "b.css").write_text("b { }")
    _, out, _ = run("--check", "site")
    assert f"Public files are fine: {Path('site', 'resmin')}  1 file" in out


def test_a_folder_that_nobody_named_is_no_site_without_an_index(run, folder: Path) -> None:
    (folder / "notes.txt").write_text("private")
    _, out, _ = run("--check")
    assert "none: no app.py or main.py" in out
    _, out, _ = run("--print-statics")
    assert "notes.txt" not in out


def test_a_named_folder_with_nothing_public_greets(run, folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "secret.key").write_text("")
    _, out, _ = run("--check", "site")
    assert "none: no app.py or main.py" in out


def test_print_statics_lists_sizes_and_ends(run, folder: Path) -> None:
    (folder / "res").mkdir()
    (folder / "res" / "a.css").write_text("p { color: red }\n" * 100)
    (folder / "res" / "b.png").write_bytes(b"x" * 700)
    status, out, err = run("--print-statics", "--static-cache", "cache")
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[1] == ["text/css", "1,700", "-", "-", "-", "/a.css"]
    _, out, _ = run("--print-statics", "--precompress", "--static-cache", "cache")
    rows = [line.split() for line in out.splitlines()]
    assert rows[1][0] == "text/css"
    assert "-" not in rows[1]
    assert rows[2] == ["image/png", "700", "-", "-", "-", "/b.png"]
    # What was compressed once is in the cache.
    _, again, _ = run("--print-statics", "--static-cache", "cache")
    assert again == out
    _, off, _ = run("--print-statics", "--no-compress", "--static-cache", "cache")
    assert off.splitlines()[1].split()[2:5] == ["-", "-", "-"]


def test_empty_folder_greets(run, folder: Path) -> None:
    status, out, _ = run("--check")
    assert status == 0
    assert f"Application is fine: none: no app.py or main.py in {folder}\n" in out


def test_missing_folder_of_public_files_is_warned_of(run, folder: Path) -> None:
    (folder / "app.py").write_text(APP)
    status, _, err = run("--check", "--static", "public")
    assert status == 0
    assert re.search(r"WAR --static: there is no folder \S+/public\.", err)
