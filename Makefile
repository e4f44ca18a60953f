# make demo   sets up, trains a LeNet on Fashion-MNIST, prints its scores, draws its curves
# make test   sets up, runs the tests
# make check  format, lint, types
# make prove  the slow proofs: the real data sets, the receptive field of every network
# make prove-networks  every network trains, learns by heart, exports: a quarter of an hour
# make prove-bench  the benchmark with its peers installed: Keras has the networks that we have
# make bench  measures neocog beside Keras, PyTorch and two runtimes, in about twenty minutes;
#             make bench BENCH='--avx2' or '--minutes 60': with options of `neocog bench`
# make fuzz   the readers of folders, lists, pictures and shards under a coverage-guided fuzzer (on
#             Linux), a minute each; make fuzz FUZZ=600: ten minutes each
# make endurance   200 runs killed anywhere and gone on with, in about seven minutes; 120 cases of
#             damaged files, full disks, signals, and every recipe stopped; 30 runs of several
#             processes, one of which is killed; 100,000 damaged and hostile inputs, in a quarter of
#             an hour; make endurance KILLS=10 CASES=4 RANKS=1 INPUTS=500: the short form
#
# Everything is installed into .venv, once: a second call costs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --constraint constraints.txt
# two processes of one thread each: torch's own threads would only wait for each other
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: setup demo test check prove prove-networks prove-bench bench fuzz endurance clean
.DELETE_ON_ERROR:

setup: $(VENV)/core

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "neocog needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "== making $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/core: $(VENV)/python pyproject.toml constraints.txt
	@echo "== installing neocog and what it needs (once; torch is the large one)"
	@$(PIP) --editable . && touch $@

$(VENV)/dev: $(VENV)/core
	@echo "== installing what the tests need (once)"
	@$(PIP) --editable '.[dev]'
	@# oracles of the tests; with their dependencies they would pull another torch
	@$(PIP) --no-deps torchvision timm && touch $@

demo: $(VENV)/core
	@echo "== training a LeNet on Fashion-MNIST"
	@$(BIN)/neocog train lenet_relu fashion-mnist --or mnist --or digits

test: $(VENV)/dev
	@$(PYTEST) -m 'not slow'

check: $(VENV)/dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

prove: $(VENV)/dev
	@$(PYTEST) -m slow tests/data tests/analysis tests/engine tests/report tests/test_devices.py tests/test_run.py

prove-networks: $(VENV)/dev
	@$(PYTEST) --dist loadgroup -m slow tests/networks

$(VENV)/bench: $(VENV)/core
	@echo "== installing what neocog is measured beside (once; hundreds of megabytes)"
	@$(PIP) --no-deps torchvision || true
	@$(PIP) --editable '.[bench]' || \
	  echo "== some of it cannot be had here: its rows will say 'not installed'"
	@touch $@

BENCH ?=
prove-bench: $(VENV)/dev $(VENV)/bench
	@$(PYTEST) tests/bench

bench: $(VENV)/bench
	@$(BIN)/neocog bench --out benchmarks/results $(BENCH)

$(VENV)/fuzz: $(VENV)/dev
	@echo "== installing the fuzzer (once)"
	@$(PIP) --editable '.[fuzz]' && touch $@

FUZZ ?= 60
fuzz: $(VENV)/fuzz
	@for target in lists labels pictures shards index folders; do \
	  echo "== fuzzing: $$target, $(FUZZ) s"; \
	  PYTHONPATH=. $(BIN)/python -m tests.fuzz.targets $$target -max_total_time=$(FUZZ) \
	    -verbosity=0 || exit 1; \
	done

KILLS ?= 200
CASES ?= 120
RANKS ?= 30
INPUTS ?= 100000
endurance: $(VENV)/dev
	@PYTHONPATH=. $(BIN)/python -m tests.endurance.kills --kills $(KILLS)
	@PYTHONPATH=. $(BIN)/python -m tests.endurance.damage --cases $(CASES)
	@PYTHONPATH=. $(BIN)/python -m tests.endurance.ranks --cases $(RANKS)
	@PYTHONPATH=. $(BIN)/python -m tests.endurance.inputs --cases $(INPUTS)

clean:
	rm -rf $(VENV) build/fuzz .mypy_cache .ruff_cache .pytest_cache
