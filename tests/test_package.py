"""The package as it is imported: what is there, what it costs, what is said when it is broken."""

import ast
import importlib.metadata
import pathlib
import subprocess
import sys

import pytest

import nodepp

PACKAGE = pathlib.Path(nodepp.__file__).parent

# Modules that an application which says hello has no use for. Each was found to cost 1 to 30 ms.
TOO_DEAR = {
    "argparse",
    "asyncio",
    "dataclasses",
    "datetime",
    "email",
    "html",
    "http",
    "inspect",
    "json",
    "logging",
    "msgspec",
    "pathlib",
    "socket",
    "tempfile",
    "typing",
    "urllib.parse",
    "uuid",
}


def run(code):
    """What Python prints for this code, without what an editable install imports at start."""
    # -S leaves out site, so the path is handed over.
    prologue = f"import sys; sys.path[:0] = {sys.path!r}; before = set(sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", prologue + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_public_name_is_there_and_documented():
    for name in nodepp.__all__:
        value = getattr(nodepp, name)
        assert value.__doc__, name
    assert set(nodepp.__all__) <= set(dir(nodepp))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'nodepp' has no attribute 'Ap'"):
        nodepp.Ap  # noqa: B018


def test_the_version_is_the_packages():
    assert nodepp.__version__ == importlib.metadata.version("nodepp")


def test_importing_the_package_imports_nothing_else():
    loaded = run("import nodepp; print(*sorted(set(sys.modules) - before))").split()
    assert [name for name in loaded if name.startswith("nodepp")] == ["nodepp", "nodepp.library"]


def test_an_application_that_says_hello_imports_nothing_dear():
    code = (
        "from nodepp import App\n"
        "app = App()\n"
        "@app.get('/')\n"
        "def hello(req): return 'hello'\n"
        "app.freeze()\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = set(run(code).split())
    assert loaded & TOO_DEAR == set()


def test_a_missing_core_is_said_with_what_to_do(tmp_path):
    target = tmp_path / "nodepp"
    target.mkdir()
    for file in PACKAGE.glob("*.py"):
        (target / file.name).write_bytes(file.read_bytes())
    code = (
        f"sys.path[:0] = [{str(tmp_path)!r}]\n"
        "import nodepp\n"
        "for use in ('nodepp.Response', 'nodepp.App().freeze()', '__import__(\"nodepp.npp\")'):\n"
        "    try: eval(use)\n"
        "    except ImportError as exc: print(exc)\n"
    )
    said = run(code).splitlines()
    assert len(said) == 3
    assert set(said) == {
        "nodepp's compiled core is not built. Build it: pip install --force-reinstall nodepp"
    }


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_every_module_is_python_3_9(file):
    ast.parse(file.read_text(), feature_version=(3, 9))
