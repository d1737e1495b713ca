# `make demo` and `make test` are all that a new machine needs; both install first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
# One thread a process: with more, OpenMP's barriers spin and everything crawls on a busy machine.
export OMP_NUM_THREADS := 1

.PHONY: install install-dev demo test test-lowest docs looks pictures fuzz bench zoo clean

# What it takes to train, evaluate and measure.
install: $(VENV)/.installed

# The same with every host framework and the tools of the tests.
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[train,data]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/hpo-control demo

test: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses 2 --cov --cov-fail-under 90

# The fast tests against the lowest versions that pyproject.toml allows, in an environment of their
# own; that of torch may bring gigabytes of CUDA.
comma := ,
LOWEST_EXTRAS := train,data,automl,forecast
LOWEST_TESTS := tests/hpo_env/test_*.py $(addprefix tests/hpo_env/,automl datasets forecasting networks) \
	tests/agents/learners tests/agents/statistics
test-lowest: build/lowest/.installed
	build/lowest/bin/python -m pytest --numprocesses 2 -W default $(LOWEST_TESTS)

build/lowest/.installed: pyproject.toml tools/lowest_versions.py
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet packaging
	build/lowest/bin/python tools/lowest_versions.py $(subst $(comma), ,$(LOWEST_EXTRAS)) > build/lowest/constraints.txt
	build/lowest/bin/python -m pip install --quiet --constraint build/lowest/constraints.txt \
		--editable '.[$(LOWEST_EXTRAS)]' hypothesis pytest pytest-xdist
	touch $@

# Strange files, arguments and command lines by the 100,000: a night.
fuzz: install-dev
	HPO_CONTROL_FUZZ=100000 $(BIN)/python -m pytest --numprocesses 2 tests/fuzzing

# The site, into build/site; warnings are errors, and nothing is fetched.
docs: install-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# How the site looks, light, dark and on a phone, and what its pages weigh, into build/looks; needs
# Debian's chromium and chromium-driver.
looks: docs
	$(BIN)/python -m tools.site_looks

# The pictures of the documentation, after a run of the demo; those of pages need Debian's chromium
# and chromium-driver, and without them are left as they are.
pictures: install-dev
	$(BIN)/python -m tools.pictures

bench: install
	$(BIN)/python benchmarks/throughput.py

# The shipped policies from nothing: hours on two cores, into logs/zoo.
zoo: install
	$(BIN)/hpo-control zoo make supervised --out logs/zoo/policies/supervised
	$(BIN)/hpo-control zoo make supervised-optimizer --out logs/zoo/policies/supervised-optimizer
	$(BIN)/hpo-control zoo make supervised-lr --out logs/zoo/policies/supervised-lr

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
