# Two commands on a fresh machine: `make run` and `make test`. Both make .venv in the checkout first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := dev,report,wandb,bench,tune

.PHONY: help venv run test lint format bench bench-training bench-engine diagnostics clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

venv: $(STAMP)  ## the virtual environment .venv, with all extras

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version + "; try: make PYTHON=python3.11 run")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

run: venv  ## train a small model, simulate with it, compare with classical steps, write the report
	$(BIN)/aitimestepper both --config examples/quickstart.toml --overwrite

# two at a time, with one thread of torch's each: 4 minutes instead of 7
test: lint  ## all checks: lint, types, tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: venv  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-training bench-engine  ## all benchmarks

bench-training: venv  ## training speed: Part 1, Part 2, memory, import time (ratios)
	$(BIN)/python benchmarks/training.py

bench-engine: venv  ## simulation speed: against REBOUND, learned steps, threads, the limit of the processor (ratios)
	$(BIN)/python benchmarks/engine.py

bench-steps: venv  ## which step is best, on problems that none was calibrated on (ten minutes; docs/bench.md)
	$(BIN)/aitimestepper bench steps --overwrite

diagnostics: venv  ## time symmetry, retrain and tolerance studies (twenty minutes)
	$(BIN)/python diagnostics/symmetric_steps.py
	$(BIN)/python diagnostics/retrain_iterations.py
	$(BIN)/python diagnostics/retrain_iterations.py --spoil 8
	$(BIN)/python diagnostics/energy_budget_constant.py

clean:  ## remove what was made, except runs/
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
