# With Python 3.11 or newer and make (on Windows in Git's bash), each target creates its own environment in .venv:
#
#   make train        run the main job on the bundled ratings; the model is written to MODEL=model.safetensors
#   make test         run the core's tests (test-core), then the kernels' again without compilation (test-kernels)
#   make test-all     run the tests that make test leaves out: those of the extras and of benchmarks/
#   make test-long    run the slow tests of both
#   make lint         run ruff, mypy, and checks of docstrings and of the settings of services
#   make quality      compare the quality with PyTorch on the same splits
#   make docs         build the lessons and the reference as web pages, in docs/_build/html
#   make bench        compare the speed with PyTorch and implicit
#   make reproduce    train on MovieLens 10M with the task's settings: PASS or FAIL at p@1 >= 0.475
#   make release-check   build the wheel and the sdist, and compare the models that they train with the checkout's
#
# PYTHON=python3.12 selects the Python (.venv is created again if it has another one),
# ARGS="..." is passed on: make train ARGS="--epochs 5".

VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
VENV_PYTHON := $(BIN)/python$(if $(filter Windows_NT,$(OS)),.exe)
ARGS ?=
MODEL ?= model.safetensors
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A name on the path may not be a Python that runs (pyenv's shims), is new enough and can create environments.
NAMES := python3.14 python3.13 python3.12 python3.11 python3
IS_FIT := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,$(NAMES),$(shell $(name) -c '$(IS_FIT)' 2>/dev/null && echo $(name))))
VERSION := -c 'import sys; print(sys.version)'

.PHONY: train test test-core test-kernels test-all test-long docs quality bench reproduce release-check clean
.PHONY: lint lint-style lint-types lint-docstrings lint-schemas

train: $(VENV)/installed
	@$(VENV_PYTHON) run_train.py --out $(MODEL) $(ARGS)

reproduce: $(VENV)/installed
	$(VENV_PYTHON) run_train.py --dataset ml-10m $(ARGS)

test: test-core test-kernels

# There are two processes, whose OpenMP threads should not spin while they wait for each other's cores.
test-core test-kernels: export OMP_WAIT_POLICY := passive
test-core: $(VENV)/installed-test
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile $(ARGS)

test-kernels: export NUMBA_DISABLE_JIT := 1
test-kernels: $(VENV)/installed-test
	$(VENV_PYTHON) -m pytest -n 2 --dist loadfile -m "kernels and not long and not optional" $(ARGS)

test-all: $(VENV)/installed-test-all
	$(VENV_PYTHON) -m pytest -m "optional and not long" $(ARGS)

test-long: $(VENV)/installed-test-all
	$(VENV_PYTHON) -m pytest -m long --timeout 1800 $(ARGS)

lint: lint-style lint-types lint-docstrings lint-schemas

lint-style: $(VENV)/installed-lint
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

lint-types: $(VENV)/installed-lint
	$(VENV_PYTHON) -m mypy autoenc

lint-docstrings: $(VENV)/installed-lint
	$(VENV_PYTHON) docs/docstrings.py

SCHEMA = $(VENV_PYTHON) -m check_jsonschema --builtin-schema
lint-schemas: $(VENV)/installed-lint
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(SCHEMA) vendor.readthedocs .readthedocs.yaml
	$(SCHEMA) vendor.citation-file-format CITATION.cff

docs: $(VENV)/installed-docs
	$(VENV_PYTHON) -m sphinx -q -W -n --keep-going -b html docs docs/_build/html
	@echo "The site is built; open $(CURDIR)/docs/_build/html/index.html"

quality: $(VENV)/installed-bench
	$(VENV_PYTHON) -m benchmarks.quality $(ARGS)

bench: $(VENV)/installed-bench
	$(VENV_PYTHON) -m benchmarks.speed $(ARGS)

release-check: $(VENV)/installed-release
	$(VENV_PYTHON) .ci/release_check.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

# Each set of packages has a stamp file, so that it is only installed again if its lists have changed.
$(VENV)/installed: $(VENV_PYTHON) setup.cfg pyproject.toml
	@echo "Installing autoenc and the packages it needs into $(VENV): about a minute, once." >&2
	@$(VENV_PYTHON) -m pip install --quiet --editable .
	@$(VENV_PYTHON) .ci/put_on_path.py
	@touch $@

# Dependency groups in pyproject.toml need pip 25.1 or newer.
EXTRAS-test-all := [serve,tune,plot,parquet,zst,scale,dask,mpi]
$(VENV)/installed-%: $(VENV_PYTHON) setup.cfg pyproject.toml
	@echo "Installing what make $(or $(MAKECMDGOALS),train) needs into $(VENV): a minute or more, once." >&2
	@$(VENV_PYTHON) -m pip install --quiet 'pip>=25.1'
	@$(VENV_PYTHON) -m pip install --quiet --editable '.$(EXTRAS-$*)' --group $*
	@$(VENV_PYTHON) .ci/put_on_path.py
	@touch $@ $(VENV)/installed

$(VENV_PYTHON):
	@test -n "$(PYTHON)" || { \
	    echo "No Python 3.11 or newer that can create environments was found; install one (on Debian with" \
	        "python3-venv) or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c '$(IS_FIT)' || { \
	    echo "$(PYTHON) is not a Python 3.11 or newer that can create environments." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

# If PYTHON was given and .venv has another one, create .venv again.
ifneq ($(filter command environment,$(firstword $(origin PYTHON))),)
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell test -x $(VENV_PYTHON) && $(VENV_PYTHON) $(VERSION)))
.PHONY: $(VENV_PYTHON)
endif
endif
