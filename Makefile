# Every verb does its own set-up, in a virtual environment in the checkout. The second time it is quick.
#
#   make run        builds, and serves the sample application (PORT=8081 make run)
#   make test       builds, and runs the test suite (TESTS="tests/test_config.py -k size" for a part of it)
#   make build      compiles the core, and no more
#   make bench      measures against other servers; see bench/README.md
#   make lint       ruff and cython-lint
#   make types      mypy on the package, and the typed face of the core against the core
#   make cov        the suite against a traced core: coverage of the Python files and of each part
#   make asan       the suite under AddressSanitizer and UndefinedBehaviorSanitizer, leaks included
#   make fuzz       ten minutes of fuzzing (FUZZ_SECONDS=60 for less)
#   make annotate   build/annotate/_core.html: which lines of the core call into Python
#   make ci         what .ci/run runs
#   make clean      removes builds and the environment
#
# PYTHON=python3.12 chooses another interpreter, with an environment of its own.

PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV := .venv
else
VENV := .venv-$(notdir $(PYTHON))
endif
BIN := $(VENV)/bin
TESTS ?= tests
# Processes of a whole run. More than there are cores: some tests wait for a process of their own.
WORKERS ?= 4
PORT ?=
FUZZ_SECONDS ?= 600

CORE_SOURCES := nodepp/_core.pyx $(wildcard nodepp/core/*.pxi nodepp/core/*.pxd)
PACKAGE_SOURCES := $(CORE_SOURCES) $(wildcard nodepp/*.py nodepp/*.pyi nodepp/*/*.py) setup.py pyproject.toml

.PHONY: run test bench lint types cov asan fuzz annotate ci clean build
.DELETE_ON_ERROR:

run: $(VENV)/release.built
	$(BIN)/nodepp-run sample/app.py $(if $(PORT),--port $(PORT))

test: $(VENV)/release.built
	$(BIN)/pytest $(if $(filter tests,$(firstword $(TESTS))),-n $(WORKERS) --dist loadfile --no-loadscope-reorder) $(TESTS)

build: $(VENV)/release.built

# --- the environment -------------------------------------------------------------------------------------------------

# Asks for what is missing by the name of its Debian package, before pip or the compiler fails with a page of text.
$(VENV)/made: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	    echo "make: $(PYTHON) is missing. On Debian or Ubuntu: apt-get install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' || { \
	    echo "make: $(PYTHON) is older than Python 3.9. Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "make: the venv module is missing. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@test -f "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || { \
	    echo "make: Python.h is missing. On Debian or Ubuntu: apt-get install python3-dev" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { \
	    echo "make: there is no C compiler. On Debian or Ubuntu: apt-get install build-essential" >&2; exit 1; }
	@printf '#include <openssl/ssl.h>\n' | $${CC:-cc} -E -x c - >/dev/null 2>&1 || \
	    echo "make: note: OpenSSL's headers (libssl-dev) are not there; nothing needs them yet."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'setuptools>=77' 'cython>=3.3,<4'
	NODEPP_FLAVOUR=release $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-build-isolation --config-settings editable_mode=compat -e '.[test,dev]'
	@touch $@

$(VENV)/bench.made: $(VENV)/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'matplotlib'
	@touch $@

$(VENV)/fuzz.made: $(VENV)/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris'
	@touch $@

# --- the flavours ----------------------------------------------------------------------------------------------------

# The release core lies in nodepp/, where an editable install looks for it.
$(VENV)/release.built: $(VENV)/made $(CORE_SOURCES) setup.py
	NODEPP_FLAVOUR=release $(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@

# The others are whole packages in build/FLAVOUR/lib, which PYTHONPATH puts before the editable install.
build/%/.built-$(notdir $(VENV)): $(VENV)/made $(PACKAGE_SOURCES)
	NODEPP_FLAVOUR=$* $(BIN)/python setup.py --quiet build --build-base build/$* --build-lib build/$*/lib
	@touch $@

ASAN_BUILT := build/asan/.built-$(notdir $(VENV))
TRACE_BUILT := build/trace/.built-$(notdir $(VENV))
ASAN_LIBRARIES = $(shell $${CC:-cc} -print-file-name=libasan.so) $(shell $${CC:-cc} -print-file-name=libubsan.so)

# PYTHONMALLOC=malloc: each object is an allocation of its own, so that an overrun is seen.
asan: $(ASAN_BUILT)
	LD_PRELOAD="$(ASAN_LIBRARIES)" \
	ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=1" \
	LSAN_OPTIONS="suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0" \
	UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1" \
	PYTHONMALLOC=malloc NODEPP_FLAVOUR=asan PYTHONPATH="$(CURDIR)/build/asan/lib" \
	$(BIN)/pytest $(TESTS)

cov: $(TRACE_BUILT)
	rm -f .coverage .coverage.*
	cp build/trace/c/nodepp/_core.c nodepp/_core.c      # Cython's plugin looks for it beside the .pyx
	NODEPP_FLAVOUR=trace PYTHONPATH="$(CURDIR)/build/trace/lib" $(BIN)/coverage run --rcfile=pyproject.toml $(BIN)/pytest $(TESTS)
	$(BIN)/coverage combine --rcfile=pyproject.toml --quiet
	$(BIN)/coverage report --rcfile=pyproject.toml

# --- the other verbs -------------------------------------------------------------------------------------------------

lint: $(VENV)/made
	$(BIN)/ruff check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint nodepp

types: $(VENV)/release.built
	$(BIN)/mypy
	$(BIN)/stubtest --allowlist tests/stubtest.allow nodepp._core

bench: $(VENV)/release.built $(VENV)/bench.made
	$(BIN)/python bench/run.py

# It builds the core itself, with clang: libFuzzer's counters are in no other compiler.
fuzz: $(VENV)/fuzz.made
	@command -v clang >/dev/null || { \
	    echo "make: clang is missing. On Debian or Ubuntu: apt-get install clang" >&2; exit 1; }
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python tests/fuzz/run.py

annotate: $(VENV)/made
	mkdir -p build/annotate
	$(BIN)/cython --annotate -3 -I nodepp -o build/annotate/_core.c nodepp/_core.pyx
	@echo "build/annotate/_core.html"

ci:
	bash .ci/run

clean:
	rm -rf build dist .venv .venv-* nodepp.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f nodepp/_core.*.so nodepp/_core.c .coverage .coverage.*
	find nodepp tests bench sample -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
