# Every target except `help` and `clean` first updates .venv if necessary.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.up-to-date
NOTEBOOK_STAMP := $(VENV)/.notebooks-up-to-date
DOCS_STAMP := $(VENV)/.docs-up-to-date
BENCH_STAMP := $(VENV)/.bench-up-to-date

DATA ?= synthetic
DATA_DIR ?=
ARGS ?=
# DATA=synthetic, the embedded data set, is the default of `oaa reproduce`.
EXPERIMENT := $(if $(filter-out synthetic,$(DATA)),experiment=$(DATA))
# Quote for the configuration and again for the shell: a path may have blanks, commas, quotes.
quote := '
DATA_ROOT := $(if $(DATA_DIR),'data.root="$(subst $(quote),'\'',$(DATA_DIR))"')
# Experiments that need a folder of photos. At full size, `oaa data` can fill the folder.
NEED_DATA_DIR := $(filter voc12 table%,$(DATA))

# albumentations otherwise asks its server for a newer release at every import.
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help data-dir setup reproduce test test-all lint types check smoke bench notebooks docs clean

help: ## This list
	@echo "make TARGET [DATA=synthetic|voc12|...] [DATA_DIR=path] [ARGS='more arguments']"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with the versions of constraints.txt (about 6 GB with a CUDA build of torch)

reproduce: data-dir $(STAMP) ## Run every stage, skip finished ones: DATA=voc12 DATA_DIR=path for real photos
	$(if $(filter voc12 %_voc12,$(DATA)),$(BIN)/oaa data $(EXPERIMENT) $(DATA_ROOT) $(ARGS))
	$(BIN)/oaa reproduce $(EXPERIMENT) $(DATA_ROOT) $(ARGS)

data-dir:
ifneq ($(NEED_DATA_DIR),)
ifeq ($(DATA_DIR),)
	@echo "DATA=$(DATA) needs DATA_DIR=path, the folder of VOC 2012, or (voc12) a folder to download it to" >&2; exit 2
endif
endif

# ATen without vector instructions and oneDNN without AVX-512, which the processor may have.
OLDER := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2
NONE := 5# pytest's exit status where ARGS chose no test

# Quick tests in as many processes as there are cores, each of one thread: threads that wait for one
# another would take longer. A process that has no tests left takes some of another's. Bytecode is
# kept for the tests that start an interpreter.
test test-all: export OMP_NUM_THREADS := 1
test test-all: export PYTHONDONTWRITEBYTECODE :=
SPREAD := -n auto --maxprocesses 4 --dist worksteal
QUICK := -m "not slow and not reliability"

test: export WANDB_MODE := offline
test: $(STAMP) ## Quick tests and the examples in docstrings: ARGS='-k store' for some of them
	$(BIN)/python -m pytest $(SPREAD) $(QUICK) $(ARGS)

test-all: export WANDB_MODE := offline
test-all: $(STAMP) ## All tests, and the quick ones again as an older processor would compute them
	$(BIN)/python -m pytest $(ARGS)
	$(OLDER) $(BIN)/python -m pytest $(SPREAD) $(QUICK) $(ARGS) || test $$? -eq $(NONE)

lint: $(STAMP) ## Style and formatting, changing nothing
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check

types: $(STAMP) ## mypy --strict on src
	$(BIN)/python -m mypy

check: lint types test ## What a change must pass: lint, types, test

smoke: export WANDB_MODE := offline
smoke: $(STAMP) ## The whole pipeline at toy size, in half a minute
	$(BIN)/oaa reproduce experiment=smoke $(ARGS)

# Each group in a process of its own: an allocator remembers what was freed before.
GROUPS ?= store steps epochs waiting modes attend labels scores start

bench: $(BENCH_STAMP) ## Ratios of two ways to do the same work (docs/speed.md): GROUPS='attend labels' for some
	for group in $(GROUPS); do $(BIN)/python -m pytest -c benchmarks/pytest.ini \
		--benchmark-json=benchmarks/results/$$group.json $(ARGS) benchmarks/bench_$$group.py || exit 1; done
	$(BIN)/python benchmarks/table.py

# Hide tqdm's advice to install widgets, which shows a path of this machine.
notebooks: export PYTHONWARNINGS := ignore:IProgress not found
notebooks: $(NOTEBOOK_STAMP) ## Execute the tours in notebooks/
	$(BIN)/python -m nbconvert --to notebook --execute --ExecutePreprocessor.record_timing=False --inplace notebooks/*.ipynb

# Material's advice on its successor: see the extra `docs` in pyproject.toml.
docs: export NO_MKDOCS_2_WARNING := 1
docs: $(DOCS_STAMP) ## Build the site in site/, without a network: open site/index.html
	$(BIN)/python -m mkdocs build --strict $(ARGS)

clean: ## Remove caches and built files; keeps .venv, runs/ and data/
	rm -rf dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes last, so a killed installation continues at the next call. A package that pip was
# writing has no RECORD yet. pip would count it as installed, so remove it first.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "oaa_pl needs Python 3.11 or newer; choose one with: make setup PYTHON=python3.11" >&2; exit 1; }
	@test ! -d $(VENV) || find $(VENV) -name '*.dist-info' -type d ! -exec test -e {}/RECORD \; \
		-prune -exec rm -rf {} +
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,lite,export]'
	@touch $@

$(NOTEBOOK_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,lite,export,notebooks]'
	@touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,lite,export,bench]'
	@touch $@

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev,lite,export,docs]'
	@touch $@
