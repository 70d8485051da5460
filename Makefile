# Everything here works from a clean clone with Python 3.11 or newer.
#   make dev      sets up and starts Keyturn on this machine
#   make check    format, lint, types, import contracts, dependencies, docs
#   make test     sets up and runs every test that needs no paid key
#   make chaos    kills every part at random for minutes and compares the books

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_ARGS ?=

# Compiled modules are kept, regardless of the shell's setting: processes start twice as fast.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup dev test chaos check eval bench assets docs lock browser clean
.PHONY: check-format check-lint check-types check-imports check-dependencies check-dead-code check-docs

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@$(PYTHON) scripts/setup.py $(VENV)

dev: setup
	@$(BIN)/keyturn dev

# Three workers for two cores: many tests wait for their own processes. All tests of a file
# run on one worker, which starts their shared fixtures once.
test: setup browser
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

browser: setup
	@$(BIN)/python scripts/browser.py $(if $(CI),,|| true)

# The checks are independent: `-j 2 -k` runs them side by side and shows every failure.
check: setup
	@$(MAKE) --no-print-directory -j 2 -k $(if $(filter output-sync,$(.FEATURES)),-O) check-types check-docs check-lint check-format check-imports check-dependencies check-dead-code

check-format:
	@$(BIN)/ruff format --check . || { echo 'format: run `$(BIN)/ruff format .`'; exit 1; }

check-lint:
	@$(BIN)/ruff check --quiet .

check-types:
	@$(BIN)/basedpyright

check-imports:
	@$(BIN)/lint-imports --no-logo

check-dependencies:
	@$(BIN)/deptry .

check-dead-code:
	@$(BIN)/python scripts/dead_code.py

check-docs:
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

# Seed: KEYTURN_CHAOS_SEED. Kills processes for minutes, then waits until all runs are at rest.
chaos: setup
	@KEYTURN_CHAOS_RUNS=$${KEYTURN_CHAOS_RUNS:-300} \
		KEYTURN_CHAOS_SECONDS=$${KEYTURN_CHAOS_SECONDS:-240} \
		$(BIN)/python -m pytest -q -s tests/chaos

eval: setup
	@$(BIN)/keyturn eval

bench: setup
	@for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark $(BENCH_ARGS) || status=1; done; exit $${status:-0}

assets: setup
	@$(BIN)/python hatch_build.py

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# Current versions of every dependency, by hash; no line names an index.
lock: setup
	@$(BIN)/python scripts/lock.py

clean:
	@rm -rf $(VENV) site build dist approvals/static/vendor .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
