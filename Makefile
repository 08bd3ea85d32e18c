# On a machine with Python 3.10 or newer and make, each target sets itself up in .venv:
#
#   make train        the main job, on the bundled ratings
#   make test         the core's tests, then the kernels' again without compilation
#   make test-all     the tests that make test leaves out: of the parts that extras install, and of benchmarks/
#   make test-long    the tests that take longer, of both
#   make lint         ruff, mypy, and docstrings against signatures
#   make quality      ours beside PyTorch on the same splits
#   make docs         the lessons and the reference as web pages, in docs/_build/html
#   make bench        how fast, beside PyTorch and implicit
#   make reproduce    MovieLens 10M with the task's settings: PASS or FAIL at p@1 >= 0.475
#
# PYTHON=python3.12 picks the Python (an existing .venv is made again where it has another),
# ARGS="..." is passed on: make train ARGS="--epochs 5".

VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A name on the path is not yet a Python that runs (pyenv's shims), is new enough and makes environments.
NAMES := python3.13 python3.12 python3.11 python3.10 python3
IS_FIT := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(firstword $(foreach name,$(NAMES),$(shell $(name) -c '$(IS_FIT)' 2>/dev/null && echo $(name))))
VERSION := -c 'import sys; print(sys.version)'

.PHONY: train test test-all test-long lint docs quality bench reproduce clean

train: $(VENV)/installed
	$(BIN)/python run_train.py $(ARGS)

reproduce: $(VENV)/installed
	$(BIN)/python run_train.py --dataset ml-10m $(ARGS)

# Two processes, whose OpenMP threads are not to spin while they wait for each other's cores.
test: export OMP_WAIT_POLICY := passive
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "kernels and not long and not optional" $(ARGS)

test-all: $(VENV)/installed-test-all
	$(BIN)/python -m pytest -m "optional and not long" $(ARGS)

test-long: $(VENV)/installed-test-all
	$(BIN)/python -m pytest -m long --timeout 1800 $(ARGS)

lint: $(VENV)/installed-lint
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy autoenc
	$(BIN)/python docs/docstrings.py

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -q -W -n --keep-going -b html docs docs/_build/html

quality: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.quality $(ARGS)

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.speed $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

# Each set of packages has a stamp, so that it is installed again only when its lists have changed.
$(VENV)/installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# A group is of pyproject.toml, and pip reads those from 25.1 on.
EXTRAS-test-all := [serve,tune,plot,parquet,scale,dask,mpi]
$(VENV)/installed-%: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.$(EXTRAS-$*)' --group $*
	@touch $@ $(VENV)/installed

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
	    echo "No Python 3.10 or newer that can make environments was found; install one (on Debian with" \
	        "python3-venv) or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c '$(IS_FIT)' || { \
	    echo "$(PYTHON) is not a Python 3.10 or newer that can make environments." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# PYTHON was asked for, and .venv has another: make it again.
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell test -x $(BIN)/python && $(BIN)/python $(VERSION)))
.PHONY: $(BIN)/python
endif
endif
