# Every target sets up .venv by itself, once. PYTHON=python3.13 make ... picks the Python to make it with.

.DEFAULT_GOAL := help
.PHONY: help demo test lab bench fuzz check docs links lock clean

BIN := .venv/bin
READY := .venv/.ready
# as an activated environment has it: the notebooks call `handlerkit`
export PATH := $(CURDIR)/$(BIN):$(PATH)

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-6s %s\n", $$1, $$2 }'

demo: $(READY)  ## run the quickstart notebook; leaves pictures, archives and a web page in demo/; TARGETS=1 proves more
	@$(BIN)/python notebooks/demo.py $(if $(filter 1,$(TARGETS)),--targets)

test: $(READY)  ## check, all tests, and the notebooks; TARGETS=0 leaves out the official image's packages (5 GB)
	@TARGETS=$(TARGETS) tools/stages.sh test

lab: $(READY)  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir notebooks

bench: $(READY)  ## measure
	@$(BIN)/python -m benchmarks

EXCHANGES ?= 20000
SEED ?= 1
fuzz: $(READY)  ## compare Worker with a real TorchServe on invented exchanges; EXCHANGES=20000 SEED=1
	@$(BIN)/python tests/fuzz/differential.py --exchanges $(EXCHANGES) --seed $(SEED)

check: $(READY)  ## lint, format, the Python of what is archived, types and layers
	@tools/stages.sh check

docs: $(READY)  ## build the site; it begins at docs/_build/html/index.html
	@$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

links: $(READY)  ## follow every link of the site; needs the network
	@$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links

lock: $(READY)  ## renew tools/constraints.txt, the versions that make installs (LOCKED=0 make ... installs the newest)
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--no-emit-index-url --no-annotate --strip-extras --custom-compile-command "make lock" -o tools/constraints.txt

clean:  ## remove what the other targets made, but for .venv
	@echo "== removing demo/, dist/, the site and caches"
	@rm -rf demo dist docs/_build docs/notebooks docs/benchmarks docs/CONTRIBUTING.md docs/causes.md docs/commands.md .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find handlerkit tests notebooks benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml tools/constraints.txt
	@tools/setup.sh
