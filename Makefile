# make demo and make test do all the set-up they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find facerec clustering eval -name '*.py' -o -name '*.safetensors' -o -name '*.html' -o -name '*.css' -o -name '*.js' -o -name '*.yaml')
# The exact versions that were tested; Python 3.10 gets the newest that there are for it.
TESTED_VERSIONS = $(shell $(BIN)/python -c 'import sys; print("--constraint constraints.txt" * (sys.version_info >= (3, 11)))')
NO_MKDOCS_2_WARNING := 1
export NO_MKDOCS_2_WARNING
# What is imported is compiled once, not in each of the many programs that the tests start.
unexport PYTHONDONTWRITEBYTECODE
DEMO ?= runs/demo
BASE ?= HEAD
ROUNDS ?= 10

.PHONY: demo test suite test-cuda check fuzz lint docs tables arena env clean

demo: env ## the main job on the embedded corpus, with a report to open at the end
	PATH="$(abspath $(BIN)):$$PATH" recipes/run_pseudolabel.sh --config recipes/conf/demo.yaml --out $(DEMO)

test: lint suite ## style, types and all tests, against the installed package

suite: env
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-cuda: env ## what can run on a GPU, beside the CPU
	FACEREC_CUDA=1 $(BIN)/pytest tests/facerec/test_cuda.py tests/clustering/test_cuda.py

check: lint ## tests of what differs from BASE, in under a minute where that is little
	$(BIN)/pytest -q $$($(BIN)/python tests/changed.py $(BASE))

fuzz: env ## property tests with new examples, ROUNDS times
	for round in $$(seq $(ROUNDS)); do HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -q -m hypothesis -n 2 || exit 1; done

lint: env ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(if $(TESTED_VERSIONS),$(BIN)/pyrefly check,@echo "types are checked with Python 3.11 or newer only")

docs: env ## the documentation as a site, runs/site/index.html; a warning is an error
	$(BIN)/mkdocs build --quiet --strict

tables: env ## the tables of README.md and the pages, from results/*.json
	$(BIN)/python docs/tools/result_tables.py

arena: env ## all methods on all sets; resumable, runs/arena/arena.html
	PYTHONPATH=benchmarks OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m arena --out runs/arena

env: $(VENV)/.installed ## the environment, built when missing

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dependencies: pyproject.toml constraints.txt | $(BIN)/python
	.ci/install $(BIN)/python $(TESTED_VERSIONS) '.[dev]'
	touch $@

$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	touch $@

clean: ## everything that can be made again
	rm -rf $(VENV) runs .pytest_cache .hypothesis .ruff_cache dist build
