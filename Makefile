# `make run` and `make test` need Python 3.11 or newer; nothing else has to be installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint lock bench counts profile bench-docs soak extras conformance conformance-ours conformance-litellm conformance-docs screenshots

run: $(VENV)/.run
	@exec $(BIN)/python manage.py serve

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What Azure OpenAI with OAuth and Vertex AI need besides.
extras: $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-extras.lock

# Pictures of the admin's pages for the README; needs Chromium, as the browser tests do.
screenshots: $(VENV)/.test
	$(BIN)/python -m tests.browser.screenshots

# This gateway beside a floor, nginx and its peers; ARGS=--quick takes less than five minutes.
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(ARGS)

# Put the tables of the last run, and of `python -m benchmarks.stores`, into the documentation.
bench-docs: $(VENV)/.test
	$(BIN)/python -m benchmarks.document

# Fails where a request or a delta costs more than benchmarks/budget.json lets it; ARGS=--record makes that anew.
counts: $(VENV)/.test
	$(BIN)/python -m benchmarks.counts $(ARGS)

# Where the time of a request goes, and of a delta.
profile: $(VENV)/.test
	$(BIN)/python -m benchmarks.profile $(ARGS)

# Drive any gateway through the faults of a provider; docs/conformance.md says more.
DIALECT ?= elasticsearch
conformance: export CONFORMANCE_API_KEY := $(API_KEY)
conformance: $(VENV)/.test
	$(BIN)/python -m conformance --base-url '$(BASE_URL)' --dialect $(DIALECT) $(ARGS)

# This gateway, on each database and with one process and four; the verdicts are kept for the documentation.
CONFORMANCE := var/conformance
conformance-ours: $(VENV)/.test
	@mkdir -p $(CONFORMANCE)
	$(BIN)/python -m conformance.ours --databases sqlite,postgresql --processes 1,4 --json $(CONFORMANCE) $(ARGS)

# LiteLLM's proxy, in a virtual environment of its own.
conformance-litellm: $(VENV)/.test
	@mkdir -p $(CONFORMANCE)
	$(PYTHON) -m venv $(CONFORMANCE)/litellm
	$(CONFORMANCE)/litellm/bin/python -m pip install -q --disable-pip-version-check 'litellm[proxy]'
	-$(BIN)/python -m conformance.litellm --environment $(CONFORMANCE)/litellm --json $(CONFORMANCE)/litellm.json $(ARGS)

conformance-docs: $(VENV)/.test
	$(BIN)/python -m conformance.document $(CONFORMANCE)/*.json > docs/conformance.md

# Pin all dependencies, with hashes and without download addresses.
COMPILE := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml
lock:
	$(COMPILE) -o requirements.lock
	$(COMPILE) --all-extras -c requirements.lock -o requirements-extras.lock
	$(COMPILE) --group dev -c requirements-extras.lock -o requirements-dev.lock

$(VENV)/.run: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.test: requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/.run

# Let a gateway live with faults and clients of all kinds for a while.
MINUTES ?= 10
soak: $(VENV)/.test
	$(BIN)/python -m soak --minutes $(MINUTES) $(ARGS)
