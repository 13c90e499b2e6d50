# Needs make, a Python of at least 3.11 and its package registry; everything else is fetched into
# .uv and .venv. Installing adds and never prunes, so the targets can be run in any order.

.DEFAULT_GOAL := help
.PHONY: help demo models dev test check format bench torture docs lock clean

BIN := .venv/bin
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)
UV := $(or $(UV),.uv/bin/uv)
LOCKED := pyproject.toml requirements.lock
# Compiled once here, or every command compiles Dagster again where Python may not write bytecode.
INSTALL = "$(UV)" pip install --compile-bytecode --python $(BIN)/python --constraint requirements.lock
MEDIA_LIBRARY ?= data/library

help: ## this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.base-installed ## real photographs become a library in data/demo/library; under 3 minutes
	$(BIN)/media-pipeline demo

models: .venv/.base-installed ## install what the profile `standard` runs on: torch and its like, about 6 GB
	$(INSTALL) --editable '.[models]'

dev: .venv/.base-installed ## Dagster's UI and daemon on http://127.0.0.1:3000 for MEDIA_LIBRARY (data/library)
	MEDIA_LIBRARY="$(MEDIA_LIBRARY)" $(BIN)/media-pipeline dev

test: .venv/.all-installed ## every test but the torture; about 11 minutes on 2 cores
	$(BIN)/pytest --numprocesses 2 --dist loadfile

check: .venv/.all-installed ## for every commit: format, lint, types, import fences, fast tests, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -m "not slow and not torture"

format: .venv/.all-installed ## rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: .venv/.all-installed ## print the numbers of docs/measurements.md, peers in the same run
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.models
	$(BIN)/python -m benchmarks.detection
	$(BIN)/python -m benchmarks.junk

torture: .venv/.all-installed ## the long fault tests, one after the other
	$(BIN)/pytest -m torture -p no:xdist

docs: .venv/.all-installed ## write the generated documents again: tables, models, demo collection
	$(BIN)/python -m scripts.tables_doc
	$(BIN)/python -m scripts.models_doc
	$(BIN)/python -m media_pipeline.demo > docs/demo-collection.md

lock: | $(UV) ## write requirements.lock again after a change of pyproject.toml
	"$(UV)" pip compile pyproject.toml --all-extras --python-version 3.11 --no-header --quiet \
		--output-file requirements.lock

clean: ## remove what was built or cached (.venv, .uv, caches); never data/
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -path ./data -prune -o -type d -name __pycache__ -exec rm -rf {} +

.venv/.base-installed: $(LOCKED) | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

.venv/.all-installed: $(LOCKED) | $(BIN)/python
	$(INSTALL) --editable '.[all]'
	@touch $@ .venv/.base-installed

# The first Python that is new enough and whole (Debian splits `venv` off).
FIND_PYTHON = for name in python3 python3.11 python3.12 python3.13 python3.14; do \
		$$name -c 'import sys, venv, ensurepip; sys.version_info < (3, 11) and sys.exit(1); \
			print(sys.executable)' 2>/dev/null && exit; \
	done; \
	echo "no usable Python: install Python 3.11 or newer with its venv module (on Debian and" >&2; \
	echo "Ubuntu the packages python3 and python3-venv), so that one of python3, python3.11 ..." >&2; \
	echo "python3.14 on PATH is at least 3.11" >&2; exit 1

$(BIN)/python: | $(UV)
	@python=$$($(FIND_PYTHON)) && "$(UV)" venv --allow-existing --python "$$python" .venv
	@rm -f .venv/.base-installed .venv/.all-installed

.uv/bin/uv:
	@python=$$($(FIND_PYTHON)) && "$$python" -m venv .uv
	@echo "Installing uv into .uv"
	@.uv/bin/python -m pip install --quiet 'uv>=0.13,<1'
