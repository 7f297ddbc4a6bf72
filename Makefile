# Two commands on a fresh machine: `make run` and `make test`. Both make .venv in the checkout first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNTIME := build/runtime
EXTRAS := dev,train,report,wandb,bench,sweep
TESTS := -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
# whatever is imported is compiled to bytecode once, not by every process: the tests alone take 8 s of each
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv checks wheel engines engine-lanes engine-many run test test-runtime test-services docs lint format bench bench-imports bench-training bench-engine bench-ensemble diagnostics faults audit versions clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

venv: $(STAMP)  ## the virtual environment .venv, with all extras

# pip would compile all of PyTorch to bytecode, which takes half a minute: what is used is compiled by importing it
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version + "; try: make PYTHON=python3.11 run")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -c 'import numba, h5py, matplotlib.figure, rich.progress, rebound, torch; torch.optim.AdamW([torch.zeros(1, requires_grad=True)]).step()'
	@touch $@

# an environment as a user has it who simulates: the wheel, without PyTorch
$(RUNTIME)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(RUNTIME)
	$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt '.[report,bench,astropy,pandas,ensemble,cluster,gym]' pytest pytest-xdist psutil hypothesis
	$(RUNTIME)/bin/python -c 'import importlib.util as u, sys; sys.exit("torch came with the runtime" if u.find_spec("torch") else 0)'
	@touch $@

# build/package holds nothing but a link to the package that was installed, so that .venv can test this one, too
wheel: $(RUNTIME)/.installed  ## build the wheel, and install it into an environment without PyTorch
	rm -rf build/wheel build/package
	$(RUNTIME)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall build/wheel/*.whl
	mkdir build/package
	ln -s "$$($(RUNTIME)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/aitimestepper" build/package/

# The first simulation compiles the engine for half a minute, on a core that the first training does not need.
run: venv  ## train a small network in both ways, simulate with it, compare it, write the report
	$(BIN)/aitimestepper simulate --ic kepler --steps 1 --quiet > /dev/null & \
	$(BIN)/aitimestepper train --config examples/quickstart_steps.toml --overwrite && wait
	$(BIN)/aitimestepper both --config examples/quickstart.toml --overwrite

# What needs PyTorch is tested in .venv, all else in an environment without it, and both test the package that was installed there:
# two tests at a time, with one thread of torch's each.
test: checks  ## all checks: lint, types, tests
	$(RUNTIME)/bin/python $(TESTS) -m 'not torch and not services'
	OMP_NUM_THREADS=1 PYTHONPATH='$(CURDIR)/build/package' $(BIN)/python $(TESTS) -m 'torch and not services'

checks:  # both environments, lint, the wheel and the engine side by side: each of them is work for one core
	@$(MAKE) --no-print-directory -j 2 lint engines

# The three forms of the engine are compiled for half a minute each: here once, and not by each of the workers that need them.
engines: engine-lanes engine-many

engine-lanes: wheel
	$(RUNTIME)/bin/python tests/engines.py lane lanes

engine-many: wheel
	$(RUNTIME)/bin/python tests/engines.py many

test-runtime: engines  ## the tests of the runtime, with the wheel in an environment without PyTorch
	$(RUNTIME)/bin/python $(TESTS) -m 'not torch and not services'

# Chromium is a package of Debian's and of its relatives'; any other that is installed is used as well.
test-services: venv  ## what needs other programs: the page of the explorer in Chromium, which is installed where it is missing
	@for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit 0; done; \
	sudo=""; [ "$$(id -u)" = 0 ] || sudo=$$(command -v sudo) || { echo "Chromium is missing, and only root can install it: apt-get install chromium" >&2; exit 1; }; \
	command -v apt-get > /dev/null || { echo "Chromium is missing, and there is no apt-get to install it with: install Chromium, then make test-services again" >&2; exit 1; }; \
	$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core > /dev/null \
	|| { echo "Chromium is missing, and apt-get could not install it: see above" >&2; exit 1; }
	$(BIN)/python -m pytest -q -m services tests/services

docs: venv  ## the site of the documentation, in build/site (open build/site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lint: venv  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: bench-imports bench-training bench-engine  ## all benchmarks

bench-imports: venv  ## what `import aitimestepper` and the first simulation cost
	$(BIN)/python benchmarks/imports.py

bench-training: venv  ## training speed: Part 1, Part 2, memory (ratios)
	$(BIN)/python benchmarks/training.py

bench-engine: venv  ## simulation speed: against REBOUND, learned steps, threads, the limit of the processor (ratios)
	$(BIN)/python benchmarks/engine.py

bench-ensemble: venv  ## ensembles: overhead against the engine, time and memory against the number of systems (ratios)
	$(BIN)/python benchmarks/ensemble_overhead.py

bench-steps: venv  ## which step is best, on problems that none was calibrated on (ten minutes; docs/bench.md)
	$(BIN)/aitimestepper bench steps --overwrite

diagnostics: venv  ## time symmetry, retrain and tolerance studies (twenty minutes)
	$(BIN)/python diagnostics/symmetric_steps.py
	$(BIN)/python diagnostics/retrain_iterations.py
	$(BIN)/python diagnostics/retrain_iterations.py --spoil 8
	$(BIN)/python diagnostics/energy_budget_constant.py
	$(BIN)/python diagnostics/splitting_coefficients.py
	$(BIN)/python diagnostics/splittings.py
	$(BIN)/python diagnostics/displaced_forces.py

faults: venv  ## every campaign of faults: files, numbers, kills, writes, parsers, a billion steps (two hours; docs/faults.md)
	$(BIN)/python diagnostics/faults/damage.py --cases 85000 --subject snapshots model suite results unfinished initial settings metrics
	$(BIN)/python diagnostics/faults/damage.py --cases 15000 --subject checkpoint
	$(BIN)/python diagnostics/faults/damage.py --cases 4000 --subject ensemble sweep
	$(BIN)/python diagnostics/faults/stress.py --cases 100000
	$(BIN)/python diagnostics/faults/kills.py --kills 100
	$(BIN)/python diagnostics/faults/writes.py --cases 200
	$(BIN)/python diagnostics/faults/disturbed.py --cases 20
	$(BIN)/python diagnostics/faults/same_bits.py --systems 300 --rounds 15
	FAULTS_EXAMPLES=20000 $(BIN)/python -m pytest -q tests/fuzz
	$(BIN)/python diagnostics/faults/endurance.py
	$(BIN)/python diagnostics/faults/endurance.py --systems 10000000

audit: venv  ## known weaknesses of the installed versions of all dependencies, as pip-audit knows them (needs the index of Python)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/python diagnostics/audit.py

# The subset has a part of everything that a dependency may change: kernels, HDF5, tables, plots, REBOUND. Old versions of plotting
# libraries warn of newer ones below them.
VERSIONS_TESTS := tests/test_bodies.py tests/test_elements.py tests/test_unit_systems.py tests/simulate/test_engine.py tests/simulate/test_snapshots.py tests/inputs tests/report/test_plots.py tests/report/test_page.py

versions: venv  ## the lowest and the highest supported versions of all dependencies but PyTorch, each tested in an environment of its own
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	for which in lowest-direct highest; do \
	  $(BIN)/uv venv --quiet --clear --python $(BIN)/python build/$$which && \
	  $(BIN)/uv pip install --quiet --python build/$$which/bin/python --resolution $$which '.[report,rebound,astropy,pandas]' 'pytest>=8' 'psutil>=6' 'hypothesis>=6.100' && \
	  build/$$which/bin/python -m pytest -q -W ignore::DeprecationWarning $(VERSIONS_TESTS) || exit 1; \
	done

clean:  ## remove what was made, except runs/
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
