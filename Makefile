# `make demo` and `make test` are all that is needed on a machine with git, make, python3 and python3-venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-oldest test-newest test-peers test-r lint docs dist bench

$(BIN)/recall-py: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: pyproject.toml $(BIN)/recall-py
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.lint: pyproject.toml $(BIN)/recall-py
	$(BIN)/python -m pip install --quiet --editable '.[lint]'
	touch $@

$(VENV)/.test-r: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable '.[test,r]'
	touch $@

$(VENV)/.docs: pyproject.toml $(BIN)/recall-py
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

$(VENV)/.dist: pyproject.toml $(BIN)/recall-py
	$(BIN)/python -m pip install --quiet --editable '.[dist]'
	touch $@

$(VENV)/.bench: pyproject.toml $(BIN)/recall-py
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

demo: $(BIN)/recall-py
	$(BIN)/recall-py demo data/pbmc68k.h5ad --output demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Short runs with the oldest and the newest versions that pyproject.toml allows; longer ones beside other packages.
test-oldest test-newest: $(VENV)/.test
	VENV=$(VENV) PYTHON=$(PYTHON) tests/peers/run $(@:test-%=%)

test-peers: $(VENV)/.test
	VENV=$(VENV) PYTHON=$(PYTHON) tests/peers/run

# On a machine with its own R and Seurat 5; r_bridge/tests/run makes a root with them where there are none.
test-r: $(VENV)/.test-r
	PATH="$(abspath $(BIN)):$$PATH" RETICULATE_PYTHON="$(abspath $(BIN))/python" bash r_bridge/tests/inside.sh

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site, in docs/_build/html. Notebooks are run anew; warnings are errors.
docs: $(VENV)/.docs
	rm -rf docs/_build/html docs/_build/pictures docs/generated
	$(BIN)/sphinx-build -W --keep-going -j 2 -d docs/_build/doctrees -E docs docs/_build/html

# The wheel is built from the sdist, so it shows that the sdist is complete.
dist: $(VENV)/.dist
	rm -rf dist
	$(BIN)/python -m build --no-isolation

# Each hot path once, to prove that the suite runs; it asserts no times. asv notes the machine in the home folder: not in the user's.
bench: export HOME = $(abspath benchmarks/asv/.asv)
bench: $(VENV)/.bench
	mkdir -p $(HOME)
	cd benchmarks/asv && $(abspath $(BIN))/asv machine --yes
	cd benchmarks/asv && $(abspath $(BIN))/asv run --quick --python=same --show-stderr
