"""Builds the compiled core. All metadata is in pyproject.toml.

The environment variable NODEPP_FLAVOUR chooses what is built; each flavour has a folder of its own
below build/, so that none overwrites another. All but the first abort where a connection changes
its state in a way that the table of states does not have (NODEPP_VERIFY):

    release  -O3                     what an installation gives
    debug    -O0 -g                  for gdb
    trace    line events             for coverage of the .pxi parts
    asan     AddressSanitizer and UndefinedBehaviorSanitizer

The release build is tuned for no machine in particular (no -march=native): a wheel must run where
it is installed.
"""

import glob
import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FLAVOURS = {
    "release": {
        # -fno-semantic-interposition and hidden names let gcc inline across the whole core;
        # -fno-plt saves a jump for each call into libc and libpython.
        "compile": ["-O3", "-fno-plt", "-fno-semantic-interposition", "-fvisibility=hidden"],
        "link": [],
        "macros": [],
        "directives": {},
    },
    "debug": {
        "compile": ["-O0", "-g", "-UNDEBUG"],
        "link": [],
        "macros": [("NODEPP_VERIFY", "1")],
        "directives": {},
    },
    "trace": {
        "compile": ["-O1", "-g"],
        "link": [],
        # The macro switches the line events on, also in functions that do not hold the GIL.
        "macros": [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1"), ("NODEPP_VERIFY", "1")],
        "directives": {"linetrace": True},
    },
    "asan": {
        "compile": [
            "-O1",
            "-g",
            "-UNDEBUG",
            "-fno-omit-frame-pointer",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
        ],
        "link": ["-fsanitize=address,undefined"],
        "macros": [("NODEPP_VERIFY", "1")],
        "directives": {},
    },
}

DIRECTIVES = {
    "language_level": 3,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    "auto_pickle": False,       # nothing of the core outlives its process
}

flavour = os.environ.get("NODEPP_FLAVOUR") or "release"
if flavour not in FLAVOURS:
    sys.exit(f"setup.py: NODEPP_FLAVOUR={flavour!r} is unknown; there are: {', '.join(FLAVOURS)}")
options = FLAVOURS[flavour]
folder = os.path.join("build", flavour)


class build_flavour(build_ext):
    """Translates and compiles in the flavour's folder, so that a second build does what changed."""

    def finalize_options(self):
        super().finalize_options()
        objects = os.path.join(folder, sys.implementation.cache_tag)
        self.build_temp = os.path.join(objects, "obj")
        if self.inplace or self.editable_mode:
            # An editable install would compile in a temporary folder each time it is made.
            self.build_lib = os.path.join(objects, "lib")

    def run(self):
        # Here and not at the top: whoever asks only for metadata need not wait for Cython.
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError

        try:
            self.extensions[:] = cythonize(
                self.extensions,
                build_dir=os.path.join(folder, "c"),
                include_path=["nodepp"],
                compiler_directives={**DIRECTIVES, **options["directives"]},
            )
        except CompileError:
            sys.exit("setup.py: Cython refused the core; what it said stands above.")
        for extension in self.extensions:
            extension._needs_stub = False
        super().run()


core = Extension(
    "nodepp._core",
    ["nodepp/_core.pyx"],
    depends=sorted(glob.glob("nodepp/core/*.px[id]")),
    define_macros=[*options["macros"], ("NODEPP_FLAVOUR", f'"{flavour}"')],
    # Python's own flags ask for -Wsign-compare, which generated code does not care for.
    extra_compile_args=[*options["compile"], "-Wno-sign-compare"],
    extra_link_args=options["link"],
)

setup(ext_modules=[core], cmdclass={"build_ext": build_flavour})
