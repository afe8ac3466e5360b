# Every target sets up what it needs by itself, in .venv, from the locked files in requirements/.
# More options for a command go in ARGS: make test ARGS="tests/gate -x"

PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
# Wheels only: nothing is compiled here. The locked files are complete, so pip need not resolve them again.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps --only-binary :all:
ARGS ?=

# What `manage.py check --deploy` judges: an installation behind TLS.
PRODUCTION := COUNTERSIGN_DEBUG=false COUNTERSIGN_PUBLIC_URL=https://countersign.example

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo run test check bench audit-attack fuzz openapi lock clean

help: ## show these lines
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/runtime.stamp ## watch an agent be allowed, denied, approved and killed (two minutes)
	@$(BIN)/python -m demo $(ARGS)

run: .venv/runtime.stamp ## keep a portal open with the demo's data; prints its address and a sign-in link
	@$(BIN)/python -m demo --serve $(ARGS)

test: .venv/dev.stamp ## run the tests, and say why any was skipped
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/dev.stamp ## lint, format, types, import contracts, migrations, deployment settings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING

bench: .venv/dev.stamp ## measure decisions a second and their latency; make bench-NAME measures one part
	@$(BIN)/python -m bench $(ARGS)

bench-%: .venv/dev.stamp
	@$(BIN)/python -m bench $* $(ARGS)

audit-attack: .venv/dev.stamp ## rewrite, cut and roll back the log as its administrator; see what finds it
	@$(BIN)/python -m bench.attacks $(ARGS)

fuzz: .venv/dev.stamp ## hand random bytes to what reads notes, policies and requests; needs atheris (Linux)
	@$(BIN)/python -m fuzz $(ARGS)

openapi: .venv/dev.stamp ## write docs/openapi.json anew from the views and gate/openapi.json
	$(BIN)/python manage.py spectacular --format openapi-json --file docs/openapi.json

lock: .venv/dev.stamp ## write requirements/ anew from pyproject.toml; ARGS=--upgrade takes newer versions
	$(BIN)/uv pip compile pyproject.toml --extra scale --extra demo $(ARGS) -qo requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml --extra scale --extra demo --extra dev $(ARGS) -qo requirements/dev.txt

clean: ## remove what these targets made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "Countersign needs Python 3.11 or newer, and none is on the PATH." \
		"Install it (on Debian: python3.11 and python3.11-venv), or name it: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@echo "Making .venv with $(PYTHON)"
	@$(PYTHON) -m venv --clear .venv || { rm -rf .venv; \
		echo "$(PYTHON) has no venv. On Debian: apt-get install python3-venv"; exit 1; } >&2

.venv/runtime.stamp: requirements/runtime.txt | .venv/bin/pip
	@echo "Installing requirements/runtime.txt into .venv"
	@$(INSTALL) -r requirements/runtime.txt
	@touch $@

# The development set holds the runtime set.
.venv/dev.stamp: requirements/dev.txt | .venv/bin/pip
	@echo "Installing requirements/dev.txt into .venv"
	@$(INSTALL) -r requirements/dev.txt
	@touch .venv/runtime.stamp $@
