# Everything a newcomer types. `make` alone lists it.
# Paths are relative, so that the checkout may live in a folder with spaces in its name.

ifndef PYTHON
PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
endif
HOST ?= 127.0.0.1
PORT ?= 8000
JOBS ?= 2

BIN := .venv/bin

# Compiled modules are kept, whatever the shell says: every command starts in half the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test check bench walk pictures lock clean install-run install-dev python

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: install-run ## install, migrate, fill an empty database with a demo and serve on http://HOST:PORT
	@$(BIN)/forum db upgrade
	@$(BIN)/forum demo --if-empty
	@exec $(BIN)/forum serve --host $(HOST) --port $(PORT)

test: install-dev ## run every test, with a real PostgreSQL and a real browser; ARGS="…" goes to pytest
	@$(BIN)/python -m tests.postgres
	@$(BIN)/python -m tests.redis_server
	@$(BIN)/python -m tests.chromium
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: install-dev ## check style, types, import order and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict forum
	$(BIN)/lint-imports
	$(BIN)/djlint --quiet --lint templates

bench: install-dev ## measure the site against its limits; ARGS="--only pages,fresh" for some of it
	@$(BIN)/python bench/run.py $(ARGS)

walk: install-dev ## take back random walks of 500 acts of moderators on both databases; WALKS=5 takes five
	@FORUM_WALK_ACTS=500 FORUM_WALKS=$(or $(WALKS),1) $(BIN)/python -m pytest tests/moderation/test_walk.py -n $(JOBS)
	@$(BIN)/python bench/races.py

pictures: install-dev ## take the README's pictures from the running product
	@$(BIN)/python docs/pictures.py

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

lock: install-dev ## choose package versions anew and write requirements/*.txt; ARGS="--upgrade" for the newest
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(LOCK) $(ARGS) requirements/uv.in -o requirements/uv.txt
	$(LOCK) $(ARGS) pyproject.toml requirements/build.in -o requirements/run.txt
	$(LOCK) $(ARGS) pyproject.toml requirements/build.in --group dev -c requirements/run.txt -o requirements/dev.txt

clean: ## remove the environment and caches; the data in instance/ stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install-run: python
	@"$(PYTHON)" requirements/install.py run

install-dev: python
	@"$(PYTHON)" requirements/install.py dev

python:
	@test -n "$(PYTHON)" || { echo "Essay Forum needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
