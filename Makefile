# Everything starts here, and everything it makes lies in .venv/, build/ and dist/.
#
# PYTHON=...   the interpreter to use (default: the first on PATH that is 3.11 or later and can build)
# VENV=...     where the environment lies (default: .venv)
# ARGS=...     passed on: make demo ARGS="--workers 8", make test ARGS="-k expiry"

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
VENV ?= .venv
ARGS ?=
SECONDS_OF_STRESS ?= 20
SECONDS_OF_FUZZ ?= 60
VERSIONS ?= 3.11 3.12 3.13

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
REQUIREMENTS := $(BIN)/python tools/requirements.py
SOURCES := setup.py $(wildcard csrc/*.[ch] csrc/include/*.h src/shoal/*.pyx src/shoal/*.pxd src/shoal/core/*.pxi)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

# ---- what a person wants

.PHONY: demo test test-c test-packaging test-wheel test-all
demo: $(VENV)/built ## set up, build, and run the main job
	@$(BIN)/shoal demo $(ARGS)

test: $(VENV)/built $(VENV)/extra-test test-c ## set up, build, and run the tests
	@$(BIN)/python -m pytest $(ARGS)

test-c: $(VENV)/made ## the C core's own tests, without sanitizers
	@$(MAKE) -s -C tests/c check

test-packaging: $(VENV)/built $(VENV)/extra-dev ## sdist and wheel into fresh environments (minutes)
	@$(BIN)/python -m pytest -m packaging tests/packaging $(ARGS)

test-wheel: $(VENV)/extra-dev ## the tests against a wheel built from the sdist, src/ out of reach
	@tools/test-wheel "$(BIN)/python" "$(BIN)/python" $(ARGS)

test-all: $(VENV)/extra-dev ## test-wheel on each Python of VERSIONS that is here, and test-packaging
	@for version in $(VERSIONS); do \
	    python=$$(tools/find-python $$version); \
	    if [ -z "$$python" ]; then echo "shoal: no Python $$version here, left out"; continue; fi; \
	    tools/test-wheel "$(BIN)/python" "$$python" $(ARGS); \
	done
	@$(MAKE) test-packaging SHOAL_PYTHONS="$(VERSIONS)"

# ---- what a developer wants

.PHONY: lint format typecheck sanitize coverage analyze memcheck killed fuzz stress soak linearizability model bench bench-all instructions micro adapter-table dist clean
lint: $(VENV)/extra-dev ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(VENV)/extra-dev ## ruff: put into format, fix what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

typecheck: $(VENV)/built $(VENV)/extra-dev ## mypy, and the stubs held against the extension
	@$(BIN)/mypy
	@MYPYPATH=src $(BIN)/stubtest shoal._core

sanitize: $(VENV)/made ## the C tests under ASan + UBSan, and of the code path of other systems
	@$(MAKE) -s -C tests/c check SAN=address,undefined
	@$(MAKE) -s -C tests/c check SHOAL_PORTABLE=1

coverage: $(VENV)/made ## lines and branches of csrc/ that the C tests run (minutes); ARGS=--missing shows the others
	@$(MAKE) -s -C tests/c coverage PYTHON="$(abspath $(BIN))/python" ARGS="$(ARGS)"

analyze: ## GCC's static analyzer over csrc/
	@$(MAKE) -s -C tests/c analyze CC=gcc

memcheck: ## some of the C tests under valgrind (a minute)
	@$(MAKE) -s -C tests/c memcheck

killed: $(VENV)/made ## hold every line of csrc/ that stores to an arena against those after which a process was killed (minutes)
	@$(MAKE) -s -C tests/c killed PYTHON="$(abspath $(BIN))/python"

fuzz: ## coverage-guided fuzzing of damaged arenas (needs clang); SECONDS_OF_FUZZ=600
	@$(MAKE) -s -C tests/c fuzz SECONDS=$(SECONDS_OF_FUZZ)

stress: $(VENV)/built $(VENV)/extra-test ## long concurrent runs: C threads under TSan, then Python's
	@$(MAKE) -s -C tests/c stress SAN=thread SECONDS=$(SECONDS_OF_STRESS)
	@$(BIN)/python -m pytest -m stress $(ARGS) || { code=$$?; [ $$code -eq 5 ] && echo "no Python stress tests"; }

soak: $(VENV)/built ## processes at work while they are killed at random instants; ARGS="--seconds 600 --seed 1 --kills 10000"
	@$(BIN)/python -m shoal.testing.soak $(ARGS)

linearizability: $(VENV)/built ## concurrent histories checked; ARGS="--seconds 600 --seed 1 --processes 4"
	@$(BIN)/python -m shoal.testing.linearizability $(ARGS)

model: $(VENV)/made ## every state of the models of the protocol (needs spin); each removed step must be found
	@$(BIN)/python tests/model/check.py

bench: $(VENV)/built $(VENV)/extra-bench ## benchmarks beside other stores, short (3 minutes); results in build/bench/
	@mkdir -p build/bench
	@$(BIN)/python benchmarks/run.py --short --json build/bench/results.json --chart build/bench/chart.svg $(ARGS)

bench-all: $(VENV)/built $(VENV)/extra-bench-all ## all of it, with all contenders that can be installed
	@mkdir -p build/bench
	@$(BIN)/python benchmarks/run.py --json build/bench/all.json --chart build/bench/all.svg $(ARGS)

instructions: $(VENV)/built ## count the hot paths' instructions (valgrind), fail if one got more expensive
	@$(BIN)/python benchmarks/instructions.py $(ARGS)

micro: $(VENV)/built $(VENV)/extra-bench ## the same paths by the clock, with pytest-benchmark (seconds)
	@$(BIN)/python benchmarks/micro.py $(ARGS)

adapter-table: $(VENV)/built $(VENV)/extra-test ## run the drop-ins' tests and write docs/adapters/README.md (ARGS="system=PYTHON")
	@$(BIN)/python tools/adapter_table.py $(ARGS)

dist: $(VENV)/extra-dev ## dist/: the sdist, and a wheel built from it
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist

clean: ## all that was made
	rm -rf .venv build dist wheelhouse .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage src/*.egg-info
	find src -name '*.so' -delete
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# ---- stamps: a second run does nothing of this again

.PHONY: always
$(VENV)/made: always
	@tools/make-venv "$(VENV)" "$(PYTHON)"

$(VENV)/required: pyproject.toml tools/requirements.py $(VENV)/made
	@echo "shoal: installing what the build needs"
	@$(PIP) install $$($(REQUIREMENTS) cli fast | sed 's/ //g')
	@touch $@

$(VENV)/built: $(VENV)/required $(SOURCES)
	@echo "shoal: building"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/extra-%: pyproject.toml tools/requirements.py $(VENV)/required
	@echo "shoal: installing what '$*' needs"
	@$(PIP) install $$($(REQUIREMENTS) $* | sed 's/ //g')
	@touch $@
