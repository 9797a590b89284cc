"""Builds the core for fuzzing and lets libFuzzer loose on it. See tests/fuzz/README.md.

    python tests/fuzz/run.py                    all targets, FUZZ_SECONDS (600) in all
    python tests/fuzz/run.py parser             one target
    python tests/fuzz/run.py parser FILE …      runs these inputs once each
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "fuzz"
LIBRARY = BUILD / "lib"
TARGETS = ("parser", "engine", "form", "statics")

# What is undefined traps: the runtime that atheris preloads knows of addresses only. Cython calls
# functions through other types and adds 0 to NULL, which is what the two exceptions are for.
COMPILE = (
    "-shared", "-fPIC", "-O1", "-g", "-w", "-fno-omit-frame-pointer",
    "-fsanitize=address,fuzzer-no-link",
    "-fsanitize=undefined", "-fno-sanitize=function,pointer-overflow",
    "-fsanitize-trap=undefined",
    '-DNODEPP_FLAVOUR="fuzz"',
)  # fmt: skip


def main(words: list[str]) -> int:
    prepare()
    targets = words[:1] or list(TARGETS)
    inputs = words[1:]
    seconds = int(os.environ.get("FUZZ_SECONDS") or 600)
    for target in targets:
        if target not in TARGETS:
            sys.exit(f"{target!r} is no target; there are: {', '.join(TARGETS)}")
        status = fuzz(target, inputs, max(1, seconds // len(targets)))
        if status:
            print(f"fuzz: {target}: a finding; the input lies in {BUILD}", file=sys.stderr)
            return 1
        print(f"fuzz: {target}: nothing found", file=sys.stderr)
    return 0


def prepare() -> None:
    """The tools and the built core, or a sentence that says what is missing."""
    if shutil.which("clang") is None:
        sys.exit("fuzz: clang is missing. On Debian or Ubuntu: apt-get install clang")
    if importlib.util.find_spec("atheris") is None:
        sys.exit(f"fuzz: atheris is missing: {sys.executable} -m pip install atheris")
    parts = sorted((ROOT / "nodepp" / "core").glob("*.px[id]"))
    sources = [ROOT / "setup.py", HERE / "run.py", ROOT / "nodepp" / "_core.pyx", *parts]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    stamp = BUILD / "built"
    if not stamp.exists() or stamp.read_text() != digest:
        build()
        stamp.write_text(digest)
    for path in (ROOT / "nodepp").glob("**/*.py"):
        there = LIBRARY / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)


def directives() -> list[str]:
    """Cython's directives as setup.py has them, so that what is fuzzed is what is shipped."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DIRECTIVES":
            found = ast.literal_eval(node.value)
            return [word for name, value in found.items() for word in ("-X", f"{name}={value}")]
    sys.exit("fuzz: setup.py has no DIRECTIVES any more")


def build() -> None:
    (LIBRARY / "nodepp").mkdir(parents=True, exist_ok=True)
    source = BUILD / "_core.c"
    subprocess.run(
        [sys.executable, "-m", "cython", *directives(), "-I", "nodepp", "-o", source,
         "nodepp/_core.pyx"], cwd=ROOT, check=True,
    )  # fmt: skip
    core = LIBRARY / "nodepp" / ("_core" + sysconfig.get_config_var("EXT_SUFFIX"))
    include = sysconfig.get_path("include")
    subprocess.run(["clang", *COMPILE, "-I", include, source, "-o", core], check=True)


def fuzz(target: str, inputs: list[str], seconds: int) -> int:
    corpus = BUILD / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": preload(),
        "PYTHONPATH": os.pathsep.join(map(str, (LIBRARY, HERE, HERE.parent))),
        # What CPython keeps until its end looks like leaks; `make asan` looks for real ones.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "PYTHONMALLOC": "malloc",
    }
    words = inputs or [
        str(corpus),
        f"-dict={HERE / 'http.dict'}",
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    script = HERE / f"target_{target}.py"
    return subprocess.call(
        [sys.executable, script, f"-artifact_prefix={BUILD}/", *words], env=environment, cwd=ROOT)


def preload() -> str:
    """AddressSanitizer and libFuzzer in one, which atheris brings along."""
    import atheris

    return str(pathlib.Path(atheris.path()) / "asan_with_fuzzer.so")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
