# Everything sets itself up: `make run` and `make test` need Debian's python3 with venv and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 200
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup run demo check test test-real test-faults real-servers constraints docs clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY) ## the virtual environment, with the pinned versions

$(READY): pyproject.toml requirements/constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON): apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11; set PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "no venv module: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) (a minute or two, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --retries 5 --timeout 60 \
	    --constraint requirements/constraints.txt --editable '.[dev]'
	@touch $@

run: $(READY) ## the demo: simulated PanDA, CRIC, storage and CEs, $(JOBS) jobs
	@$(BIN)/act demo --jobs $(JOBS)

demo: run

check: $(READY) ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd tests/real && MYPYPATH=../.. $(abspath $(BIN))/mypy --config-file ../../pyproject.toml --exclude '^$$' *.py
	$(BIN)/lint-imports

test: $(READY) ## all tests that need no root and no foreign server
	$(PYTEST) -n 3 --dist loadgroup -m "not real and not faults"

test-faults: $(READY) ## real kills, real recoveries, great numbers
	$(PYTEST) -m faults

real-servers: $(READY) ## install the real A-REX 6.17 and 7, HTCondor and XRootD, once, outside the clone (root)
	$(BIN)/python tests/real/arex_install.py 6
	$(BIN)/python tests/real/arex_install.py 7
	$(BIN)/python tests/real/condor_install.py
	$(BIN)/python tests/real/xrootd_install.py

test-real: $(READY) ## the tests against real servers (root, `make real-servers`)
	$(PYTEST) -n 5 --dist loadgroup -m real tests/real tests/contract

constraints: ## pin every distribution by version: makes requirements/constraints.txt
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(PYTHON) -m venv $$dir/venv && \
	$$dir/venv/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]' && \
	{ echo "# Made by \`make constraints\`: every distribution that a fresh installation took."; \
	  $$dir/venv/bin/python -m pip freeze --exclude act-flows | grep -E '^[A-Za-z0-9._-]+==' ; } > requirements/constraints.txt
	@wc -l requirements/constraints.txt

docs: $(READY) ## renew the generated pages
	$(BIN)/python -m flows.deployments > prefect.yaml
	$(BIN)/python -m act_core.monitor.states_page > docs/states.md

clean: ## what was made here, but for the state directory
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
