# Two commands matter: `make demo` and `make test`. Each makes what it needs first.
# uv is used where it is on PATH or can be installed into the environment; plain pip otherwise.

PYTHON ?= python3
VENV ?= .venv
DEPLOYMENT ?= processes
BIN := $(VENV)/bin
LOCK := requirements.lock
PYTEST ?= -n 2 --dist loadgroup

# Compiled once here, rather than by each of the many small processes of each lab.
install = \
	export UV_COMPILE_BYTECODE=1; \
	if command -v uv >/dev/null 2>&1; then uv pip install -q --python $(BIN)/python $(1); \
	elif $(BIN)/python -m pip install -q uv; then $(BIN)/python -m uv pip install -q --python $(BIN)/python $(1); \
	else $(BIN)/python -m pip install -q --upgrade pip && $(BIN)/python -m pip install -q $(1); fi

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:  ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Error: $(PYTHON) is older than 3.11. Try: make PYTHON=python3.12"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then uv venv -q --python $(PYTHON) $(VENV); else $(PYTHON) -m venv $(VENV); fi || \
		{ echo "Error: cannot create a virtual environment. On Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "Installing operatorlab into $(VENV) …"
	@$(call install,-e . -c $(LOCK))
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what the tests need …"
	@$(call install,-e . --group dev -c $(LOCK))
	@touch $@

.PHONY: demo
demo: $(VENV)/.run $(if $(filter compose,$(DEPLOYMENT)),images)  ## Break a real cluster, watch an operator repair it (DEPLOYMENT=compose: in containers)
	@$(BIN)/operatorlab run notebooks/00_quickstart.ipynb -p deployment $(DEPLOYMENT)

.PHONY: lab
lab: $(VENV)/.run  ## Open JupyterLab on the notebooks
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_quickstart.ipynb

.PHONY: test
test: $(VENV)/.dev  ## Run the tests (a few minutes)
	@$(BIN)/python -m pytest $(PYTEST) -m "not slow and not benchmark"

.PHONY: test-slow
test-slow: $(VENV)/.dev  ## Run the slow tests: soak, JupyterLab in a browser, many kills
	@$(BIN)/python -m pytest -m "slow and not minutes and not every_fault"

.PHONY: test-containers
test-containers: $(VENV)/.dev images  ## Run the tests that run labs of containers for minutes (an hour)
	@$(BIN)/python -m pytest -m minutes

.PHONY: test-faults
test-faults: $(VENV)/.dev  ## Run the tests that do the same to fault after fault (two hours and more)
	@$(BIN)/python -m pytest $(PYTEST) -m every_fault

.PHONY: bench
bench: $(VENV)/.dev  ## Measure, and print ratios
	@$(BIN)/python -m pytest -q -s -m benchmark tests/benchmarks

.PHONY: check
check: $(VENV)/.dev  ## Lint, format and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: images
images:  ## Make the images of the compose stacks (pulled, or from Debian packages)
	@compose/build

.PHONY: screenshot
screenshot: $(VENV)/.dev  ## Make docs/quickstart.png from the notebook in a real JupyterLab
	@$(BIN)/python docs/screenshot.py

.PHONY: lock
lock: $(VENV)/.dev  ## Resolve the dependencies anew
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/python -m uv pip compile -q --upgrade --universal --no-emit-index-url --group dev pyproject.toml -o $(LOCK) \
		--custom-compile-command "make lock"

.PHONY: clean
clean:  ## Remove the environment and caches
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
