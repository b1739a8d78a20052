# Needs only Python 3.11 or 3.12 and make.
#
#   make demo      set up, run the quickstart sweep, compare, report, promote, serve
#   make demo-all  run and promote a sweep of each of the three tasks, evaluate over two parties' users, serve all
#   make test      set up, run the test suite
#   make test-slow set up, run further cases of what the suite tests, which take minutes
#   make lint      check style, formatting and types
#   make clean     remove the environment and every cache; `runs/` stays

PYTHON ?= python3
SWEEP := sweeps/quickstart.yaml
BIN := .venv/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What is imported is compiled then; all of torch and its kind beforehand would take longer than the sweep of the demo.
export PIP_NO_COMPILE := 1
# One thread a process: contending threads make small recurrent steps many times slower.
export OMP_NUM_THREADS := 1

.PHONY: demo demo-all test test-slow lint clean

demo: .venv/.installed
	$(BIN)/adaptune run $(SWEEP)
	$(BIN)/adaptune compare $(SWEEP)
	$(BIN)/adaptune report $(SWEEP)
	$(BIN)/adaptune promote $(SWEEP)
	$(BIN)/adaptune serve --demo
	@echo "For adaptune to be found: . $(BIN)/activate"

demo-all: .venv/.installed
	$(BIN)/adaptune run $(SWEEP)
	$(BIN)/adaptune promote $(SWEEP)
	$(BIN)/adaptune run sweeps/synthetic-question-answering.yaml
	$(BIN)/adaptune promote sweeps/synthetic-question-answering.yaml
	$(BIN)/adaptune run sweeps/synthetic-captioning.yaml
	$(BIN)/adaptune promote sweeps/synthetic-captioning.yaml
	rm -rf runs/parties
	$(BIN)/adaptune split $(SWEEP) --parties 2 --by users --out runs/parties
	$(BIN)/adaptune evaluate recommendation/champion --parties runs/parties/parties.yaml
	$(BIN)/adaptune serve --demo
	@echo "For adaptune to be found: . $(BIN)/activate"

test: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

test-slow: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m slow

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch comes first and by itself: any other package's open range could draw in another build of it.
# crypten comes last and without its dependencies: they name a package that no longer exists; the `secure` extra
# holds what it really needs.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 13) else \
		"Adaptune needs Python 3.11 or 3.12, but $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev,secure,search]'
	$(BIN)/python -m pip install -c constraints.txt --no-deps crypten
	@touch $@

clean:
	rm -rf .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
