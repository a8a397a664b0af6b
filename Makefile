# `make demo` sets up and runs the main job; `make test` sets up and passes all tests.
# Both work as an ordinary user, and from their caches without a network the second time.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test setup tools lint types layers generated check unit scenario scenario-controllers scenario-others models xrds docs lock bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: setup ## Start the sandbox and tell the story from a claim to an enforced retention rule
	@$(BIN)/python -m sandbox.demo

test: setup ## Lint, types, layers, drift, and every test, on a real control plane
	@$(MAKE) --no-print-directory -j2 tools check
	@$(MAKE) --no-print-directory scenario

setup: $(STAMP) ## Make the virtual environment from the lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Stateward needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "[setup] virtual environment in $(VENV) from requirements.lock (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

tools: setup ## Build the pinned Go programs of the sandbox into the user's cache
	@$(BIN)/python -m sandbox tools

check: lint types layers generated unit ## Everything that needs no control plane

lint: setup
	@echo "[lint]" && $(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	@echo "[types]" && $(BIN)/mypy

layers: setup
	@echo "[layers]" && $(BIN)/lint-imports

generated: setup ## Fail when a generated file is out of step with its source
	@echo "[generated]"
	@$(BIN)/python package/generate_models.py --check
	@$(BIN)/python xrds/generate.py --check
	@$(BIN)/python docs/generate.py --check

unit: setup ## Unit, property and contract tests
	@echo "[unit]" && $(BIN)/pytest tests/unit tests/property tests/contract

scenario: setup tools ## Scenarios on the real control plane
	@$(MAKE) --no-print-directory -j2 scenario-controllers scenario-others

# They mostly wait, so two at a time.
scenario-controllers: setup tools
	@echo "[scenario: controllers]" && $(BIN)/pytest tests/scenario/controllers

scenario-others: setup tools
	@echo "[scenario: others]" && $(BIN)/pytest tests/scenario --ignore tests/scenario/controllers

models: setup ## Generate the Python models from the CRDs
	@$(BIN)/python package/generate_models.py

xrds: setup ## Write both definitions from the one schema
	@$(BIN)/python xrds/generate.py

docs: setup ## Generate the reference from CRDs, XRDs and conditions
	@$(BIN)/python docs/generate.py

lock: setup ## Resolve pyproject.toml into requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements.lock

bench: setup tools ## Run every benchmark and print its table
	@$(BIN)/python -m benchmarks.function
	@$(BIN)/python -m benchmarks.controller
	@$(BIN)/python -m benchmarks.sandbox
	@$(BIN)/python -m benchmarks.retention

clean: ## Remove the virtual environment and every sandbox of this checkout
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m sandbox down --all --delete
	@rm -rf $(VENV) .sandbox
