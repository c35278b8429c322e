# make train: everything up to a leaderboard row.   make test: every check.   make test-gpu: what needs a GPU.
# make results: the runs that the leaderboard lacks.   make setup: .venv alone.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?= model=bmru task=listops budget=quick

.PHONY: train setup results test test-gpu check clean

train: setup
	@$(BIN)/python train.py $(ARGS)

setup: .venv/installed

# --no-compile: programs use less than half of what pip would compile. Their first start compiles it.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) is too old: make PYTHON=python3.11 (or newer)"; exit 1; }
	@echo "setting up .venv (a minute or two; torch alone is 200 MB, with CUDA some GB)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	@touch $@

results: setup
	$(BIN)/python -m lra_mru.evidence results_dir=results $(ARGS_EVIDENCE)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-gpu: setup
	$(BIN)/python -m pytest tests/gpu -m gpu --numprocesses 8 --dist load

clean:
	rm -rf .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
