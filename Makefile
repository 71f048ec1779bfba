# Everything sets itself up: `make run` and `make test` need Debian's python3 with venv and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 200
BENCH ?= bench.json
SOAK ?= soak.json
PYTEST := $(BIN)/python -m pytest
unexport PYTHONDONTWRITEBYTECODE # images of containers set it: each process would compile everything anew

.PHONY: help setup run demo check test test-real test-faults guards faults-page real-servers constraints audit docs screenshots bench bench-day soak clean

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

run: $(READY) ## the demo: simulated PanDA, CRIC, storage and CEs, $(JOBS) jobs; KEEP=1: it stays up, with its page
	@$(BIN)/act demo --jobs $(JOBS) $(if $(KEEP),--keep)

demo: run

check: $(READY) ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd tests/real && MYPYPATH=../.. $(abspath $(BIN))/mypy --config-file ../../pyproject.toml --exclude '^$$' *.py
	$(BIN)/lint-imports

test: $(READY) ## all tests that need no root and no foreign server
	$(PYTEST) -n 3 --dist loadgroup -m "not real and not faults"

test-faults: $(READY) ## the fault matrix; real kills, real recoveries, great numbers
	$(PYTEST) -n 4 --dist loadgroup -m faults

guards: $(READY) ## which cells of the fault matrix fail without each of its five guards
	$(BIN)/python -m tests.faults.matrix.guards

faults-page: $(READY) ## renew docs/faults.md from the last run of `make test-faults`
	@$(BIN)/python -m tests.faults.matrix.page > docs/.faults.md && mv docs/.faults.md docs/faults.md

real-servers: $(READY) ## install the real A-REX 6.17 and 7, HTCondor, XRootD and Chromium, once, outside the clone (root)
	$(BIN)/python tests/real/arex_install.py 6
	$(BIN)/python tests/real/arex_install.py 7
	$(BIN)/python tests/real/condor_install.py
	$(BIN)/python tests/real/xrootd_install.py
	$(BIN)/python tests/real/chromium_install.py

test-real: $(READY) ## the tests against real servers (root, `make real-servers`)
	$(PYTEST) -n 5 --dist loadgroup -m real tests/real tests/contract

bench: $(READY) ## measure what it costs, beside what is wanted: $(BENCH), a table, docs/costs.md
	@$(BIN)/python -m benchmarks --json $(BENCH); code=$$?; \
	$(BIN)/python -m benchmarks.card $(BENCH) > $(BENCH).md && mv $(BENCH).md docs/costs.md && exit $$code

bench-day: $(READY) ## a quarter of an hour of a day with 1,000,000 jobs, PanDA to PanDA
	$(BIN)/python -m benchmarks --only day --json bench-day.json

soak: $(READY) ## 30 minutes at 20 jobs/s with random faults: $(SOAK), docs/soak.md and its picture; SOAKED="--seed 7"
	@$(BIN)/python -c 'import matplotlib' 2>/dev/null || $(BIN)/python -m pip install -qq --disable-pip-version-check \
	    --retries 5 --timeout 60 --constraint requirements/constraints.txt --editable '.[plot]'
	@rm -f $(SOAK); $(BIN)/python -m benchmarks.soak --file $(SOAK) $(SOAKED); code=$$?; test -f $(SOAK) && \
	$(BIN)/python -m benchmarks.soak_plot $(SOAK) > docs/pictures/.soak.svg && \
	mv docs/pictures/.soak.svg docs/pictures/soak.svg && \
	$(BIN)/python -m benchmarks.soak_page $(SOAK) docs/soak.md && exit $$code

constraints: ## pin every distribution by version: makes requirements/constraints.txt
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(PYTHON) -m venv $$dir/venv && \
	$$dir/venv/bin/python -m pip install --quiet --disable-pip-version-check '.[dev,plot]' && \
	{ echo "# Made by \`make constraints\`: every distribution that a fresh installation took."; \
	  $$dir/venv/bin/python -m pip freeze --exclude act-flows | grep -E '^[A-Za-z0-9._-]+==' ; } > requirements/constraints.txt
	@wc -l requirements/constraints.txt

audit: $(READY) ## known vulnerabilities of the pins (pip-audit, in a venv of its own); 2: no advisory service tells
	@$(BIN)/python -m pip check
	@test -x build/audit/bin/pip-audit || { $(PYTHON) -m venv build/audit && \
	    build/audit/bin/python -m pip install -qq --disable-pip-version-check --timeout 60 pip-audit; } || \
	    { echo "pip-audit cannot be installed: nothing is known" >&2; exit 2; }
	@$(BIN)/python requirements/audit.py build/audit/bin/pip-audit

docs: $(READY) ## renew the generated pages
	$(BIN)/python -m flows.deployments > prefect.yaml
	$(BIN)/python -m act_core.monitor.states_page > docs/states.md

screenshots: $(READY) ## renew docs/pictures with the system's Chromium
	$(BIN)/python tests/real/page_pictures.py

clean: ## what was made here, but for the state directory
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
