# Every target sets up .venv by itself, once. PYTHON=python3.13 make ... picks the Python to make it with.

.DEFAULT_GOAL := help
.PHONY: help demo test lab bench fuzz check clean

BIN := .venv/bin
READY := .venv/.ready
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-6s %s\n", $$1, $$2 }'

demo: $(READY)  ## run the quickstart notebook from nothing; leaves pictures, archives and a web page in demo/
	@$(BIN)/python notebooks/demo.py

test: check  ## check, then unit tests, tests on a real TorchServe, and the notebooks against their saved outputs
	@echo "== unit tests, and what is in the wheel"
	@$(BIN)/python -m pytest -m "not server and not browser"
	@echo "== tests on a real TorchServe and in a browser"
	@$(BIN)/python -m pytest -m "server or browser"
	@echo "== the notebooks against their saved outputs"
	@$(BIN)/python -m pytest --nbval --nbval-sanitize-with notebooks/sanitize.cfg $(NOTEBOOKS)

lab: $(READY)  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir notebooks

bench: $(READY)  ## measure
	@$(BIN)/python -m benchmarks

EXCHANGES ?= 20000
SEED ?= 1
fuzz: $(READY)  ## compare Worker with a real TorchServe on invented exchanges; EXCHANGES=20000 SEED=1
	@$(BIN)/python tests/fuzz/differential.py --exchanges $(EXCHANGES) --seed $(SEED)

check: $(READY)  ## lint, format, types and layers
	@echo "== lint: ruff check"
	@$(BIN)/ruff check
	@echo "== format: ruff format --check"
	@$(BIN)/ruff format --check
	@echo "== types: mypy --strict"
	@$(BIN)/mypy
	@echo "== layers: lint-imports"
	@$(BIN)/lint-imports --no-logo

clean:  ## remove what the other targets made, but for .venv
	@echo "== removing demo/, dist/ and caches"
	@rm -rf demo dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find handlerkit tests notebooks benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@tools/setup.sh
